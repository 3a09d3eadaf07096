//! What stands in for the libraries where there is no Xen: every extern
//! function becomes one that fails, so that the workspace links and its other
//! tests run. The safe layer refuses before it would call one.
//!
//! They are plain functions, no exported symbols, so that a library that
//! defines one of Xen's names itself can depend on this crate too.

use syn::{FnArg, ForeignItem, ForeignItemFn, Item, ReturnType, Type, parse_quote};

/// From the C library, so real everywhere.
const NOT_XEN: [&str; 1] = ["vsnprintf"];

/// `bindings` with failing functions in place of Xen's.
pub fn instead_of_externs(bindings: &str) -> String {
    let mut file = syn::parse_file(bindings).expect("bindgen's output parses");
    for item in &mut file.items {
        let Item::ForeignMod(block) = item else {
            continue;
        };
        let [ForeignItem::Fn(function)] = block.items.as_slice() else {
            panic!("expected one function in an extern block");
        };
        if !NOT_XEN.iter().any(|name| function.sig.ident == name) {
            *item = stub(function);
        }
    }
    prettyplease::unparse(&file)
}

fn stub(function: &ForeignItemFn) -> Item {
    let name = &function.sig.ident;
    let output = &function.sig.output;
    let types = function.sig.inputs.iter().map(|input| match input {
        FnArg::Typed(typed) => &typed.ty,
        FnArg::Receiver(_) => unreachable!("C has no methods"),
    });
    let failure = match output {
        ReturnType::Default => parse_quote!({}),
        ReturnType::Type(_, ty) => failure_of(ty),
    };
    parse_quote! {
        pub unsafe extern "C" fn #name(#(_: #types),*) #output #failure
    }
}

fn failure_of(ty: &Type) -> syn::Block {
    match ty {
        Type::Ptr(pointer) if pointer.mutability.is_some() => {
            parse_quote!({ ::core::ptr::null_mut() })
        }
        Type::Ptr(_) => parse_quote!({ ::core::ptr::null() }),
        Type::Path(path) if path.path.is_ident("bool") => parse_quote!({ false }),
        _ => parse_quote!({ -1 }),
    }
}

//! What a text of bindings declares, in a form that two of them can be compared
//! in: aliases resolved, parameter names dropped, order of no importance.

use std::collections::BTreeMap;

use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, BareFnArg, Expr, FnArg, ForeignItem, Item, Type};

/// Name → what is declared under it.
pub struct Declarations(BTreeMap<String, String>);

impl Declarations {
    /// # Panics
    /// If `bindings` is not bindgen's output.
    pub fn parse(bindings: &str) -> Self {
        let mut file = syn::parse_file(bindings).expect("bindgen's output parses");
        let aliases = file.items.iter().filter_map(|item| match item {
            Item::Type(alias) => Some((alias.ident.to_string(), (*alias.ty).clone())),
            _ => None,
        });
        Normalise(aliases.collect()).visit_file_mut(&mut file);

        let mut declarations = Self(BTreeMap::new());
        for item in &file.items {
            declarations.add(item);
        }
        declarations
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    fn add(&mut self, item: &Item) {
        match item {
            Item::Const(item) if item.ident == "_" => self.add_layout(&item.expr),
            Item::Const(item) => self.insert("const", &item.ident, item),
            Item::Struct(item) => self.insert("type", &item.ident, item),
            Item::Union(item) => self.insert("type", &item.ident, item),
            Item::Type(item) => self.insert("type", &item.ident, item),
            Item::ForeignMod(block) => {
                for item in &block.items {
                    let ForeignItem::Fn(function) = item else {
                        panic!("not a function: {}", item.to_token_stream());
                    };
                    self.insert("fn", &function.sig.ident, function);
                }
            }
            // Default and Debug: derived from the declarations.
            Item::Impl(_) | Item::Use(_) => {}
            other => panic!("not foreseen: {}", other.to_token_stream()),
        }
    }

    /// `const _: () = { ["Size of x"][size_of::<x>() - 8usize]; … };`
    fn add_layout(&mut self, assertions: &Expr) {
        let Expr::Block(block) = assertions else {
            panic!("not an assertion: {}", assertions.to_token_stream());
        };
        for statement in &block.block.stmts {
            let text = statement.to_token_stream().to_string();
            let (title, _) = text.split_once(']').expect("[\"title\"][…]");
            self.insert("layout", title, statement);
        }
    }

    fn insert(&mut self, kind: &str, name: impl ToString, what: &impl ToTokens) {
        let name = format!("{kind} {}", name.to_string());
        let text = what.to_token_stream().to_string();
        let before = self.0.insert(name, text);
        assert!(before.is_none(), "declared twice: {before:?}");
    }
}

/// One line for everything that only one side has, or has differently.
pub fn differences(left: &Declarations, right: &Declarations) -> Vec<String> {
    let mut names: Vec<_> = left.0.keys().chain(right.0.keys()).collect();
    names.sort();
    names.dedup();
    let text = |side: Option<&String>| side.map_or("nothing", String::as_str).to_owned();
    names
        .into_iter()
        .map(|name| (name, left.0.get(name), right.0.get(name)))
        .filter(|(_, left, right)| left != right)
        .map(|(name, left, right)| format!("{name}: {}\n  ≠ {}", text(left), text(right)))
        .collect()
}

/// Resolves aliases, and drops what is no part of the ABI.
struct Normalise(BTreeMap<String, Type>);

impl VisitMut for Normalise {
    fn visit_type_mut(&mut self, ty: &mut Type) {
        while let Type::Path(path) = &*ty
            && let Some(name) = path.path.get_ident()
            && let Some(meaning) = self.0.get(&name.to_string())
        {
            *ty = meaning.clone();
        }
        visit_mut::visit_type_mut(self, ty);
    }

    fn visit_fn_arg_mut(&mut self, argument: &mut FnArg) {
        if let FnArg::Typed(typed) = argument {
            *typed.pat = syn::parse_quote!(_);
        }
        visit_mut::visit_fn_arg_mut(self, argument);
    }

    fn visit_bare_fn_arg_mut(&mut self, argument: &mut BareFnArg) {
        argument.name = None;
        visit_mut::visit_bare_fn_arg_mut(self, argument);
    }

    fn visit_attributes_mut(&mut self, attributes: &mut Vec<Attribute>) {
        attributes.retain(|attribute| attribute.path().is_ident("repr"));
    }
}

# What a developer or a fresh machine runs. Lab targets need root; `make help` lists all.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
XEN ?= 4.17
PREFIX ?= /usr/local

.PHONY: help deps build-deps build install lint test test-unit test-lab xen-matrix demo faults accuracy bench bench-policy bench-record bench-window bench-network paper pictures doc

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

deps: ## install the Debian packages that are missing (root)
	@scripts/deps

build-deps: ## install only what the build needs (root)
	@scripts/deps build

build: build-deps ## release build of everything
	XENMIG_ASSETS_DIR=$(CURDIR)/target/assets cargo build --release --workspace

install: ## install what `make build` has built (root); PREFIX=/usr/local
	scripts/install $(PREFIX)

lint: deps ## format, clippy, dependency licences and advisories
	scripts/lint

test: deps ## everything: lint, units, command line, both Xen versions, the lab
	scripts/test

test-unit: build-deps ## what needs neither Xen nor the lab
	XENLAB=off cargo test --workspace

test-lab: deps ## all lab tests on one Xen version: make test-lab XEN=4.20
	scripts/test-lab $(XEN)

xen-matrix: deps ## build against Debian 12's and 13's Xen, compare the ABI
	scripts/xen-matrix

demo: deps ## boot a Xen host, start a guest that dirties memory, check it
	scripts/demo

faults: deps ## break migrations in the lab in every way, and write docs/faults.md
	scripts/faults

accuracy: deps ## predictions against real migrations; QUICK=1 for a short run
	scripts/accuracy

bench: deps ## cost of sampling and of the program; QUICK=1 for a short run
	scripts/bench

bench-policy: deps ## budgets beside the stock policy on real Xen; QUICK=1 for a short run
	scripts/bench-policy

bench-record: deps ## what the service costs: simulated month, year's log, guest; QUICK=1 for a short run
	scripts/bench-record

bench-window: deps ## recommended windows against the best, on synthetic loads: docs/window.md; QUICK=1
	scripts/bench-window

bench-network: deps ## two hosts on a network, seen from outside; QUICK=1 for a short run
	scripts/bench-network

paper: deps ## the paper's measurements, repeated on real Xen; QUICK=1 for a short run, FIGURE=fig3 for one, DRAW=1 only draws
	scripts/paper $(or $(FIGURE),all)

pictures: deps ## pages of `xenmig report` as a browser shows and prints them, for docs/report.md
	scripts/pictures

doc: deps ## API documentation in target/doc, man pages and completions in target/assets
	cargo doc --workspace --no-deps
	XENMIG_ASSETS_DIR=$(CURDIR)/target/assets cargo build --release -p xenmig-cli

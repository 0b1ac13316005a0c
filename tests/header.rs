// SPDX-License-Identifier: MIT OR Apache-2.0
//! The committed C header is what `src/ffi.rs` and `src/ffi/` say. `make header` brings it up to date.
#![cfg(feature = "header")]

use std::fs;
use std::path::Path;

#[test]
fn header_is_up_to_date() {
    let generated = Path::new(env!("OUT_DIR")).join("fdpasser.h");
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/fdpasser.h");
    let new = fs::read_to_string(&generated).expect("the build script wrote the header");
    if std::env::var_os("FDPASSER_UPDATE_HEADER").is_some() {
        fs::write(&committed, &new).expect("include/fdpasser.h is writable");
    }
    let old = fs::read_to_string(&committed).unwrap_or_default();
    assert!(
        old == new,
        "include/fdpasser.h differs from what src/ffi says: run `make header`"
    );
}

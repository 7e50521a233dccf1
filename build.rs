//! Names the platforms once; the code says `cfg(linux_like)` instead of a list. And tells the tests for which they are built.

use cfg_aliases::cfg_aliases;

fn main() {
    // Where the tests find the examples.
    println!("cargo::rustc-env=ANCILLARY_TARGET={}", std::env::var("TARGET").unwrap_or_default());
    cfg_aliases! {
        linux_like: { any(target_os = "linux", target_os = "android") },
        apple: { target_vendor = "apple" },
        // Where the crate io-uring is, for tests and examples.
        uring: { all(target_os = "linux", any(target_arch = "aarch64", target_arch = "loongarch64", target_arch = "powerpc64", target_arch = "riscv64", target_arch = "x86_64")) },
        solarish: { any(target_os = "illumos", target_os = "solaris") },
    }
}

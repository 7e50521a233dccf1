//! Names the platforms once; the code says `cfg(linux_like)` instead of a list.

use cfg_aliases::cfg_aliases;

fn main() {
    cfg_aliases! {
        linux_like: { any(target_os = "linux", target_os = "android") },
        apple: { target_vendor = "apple" },
        // Where the crate io-uring is, for tests and examples.
        uring: { all(target_os = "linux", any(target_arch = "aarch64", target_arch = "loongarch64", target_arch = "powerpc64", target_arch = "riscv64", target_arch = "x86_64")) },
        solarish: { any(target_os = "illumos", target_os = "solaris") },
    }
}

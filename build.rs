//! Names the platforms once; the code says `cfg(linux_like)` instead of a list.

use cfg_aliases::cfg_aliases;

fn main() {
    cfg_aliases! {
        linux_like: { any(target_os = "linux", target_os = "android") },
        apple: { target_vendor = "apple" },
        solarish: { any(target_os = "illumos", target_os = "solaris") },
    }
}

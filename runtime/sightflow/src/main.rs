//! The `sightflow` program; see the library of the same name.

/// Gives memory back that nobody needs any more, also after a burst on many threads; the C library's keeps most of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    sightflow::main()
}

//! The compiler of uploads as a program of its own, for hosts that are not the `sightflow` binary, and for tests.

fn main() -> std::process::ExitCode {
    sightflow_sandbox::compile_component()
}

//! `sightflow:block/log`.

use super::bindings::sightflow::block::log;
use super::state::CallState;
use crate::Level;

impl log::Host for CallState {
    fn log(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.say(level, &message);
        Ok(())
    }
}

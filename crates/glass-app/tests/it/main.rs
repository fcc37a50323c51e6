//! All integration tests of the program, in one binary: they run it as a user would.

mod advice;
mod browser;
#[cfg_attr(not(feature = "fetch"), allow(dead_code))]
mod cases;
mod chats;
mod converts;
#[cfg(feature = "fetch")]
mod distils;
mod errors;
#[cfg(feature = "fetch")]
mod fetch;
mod explains;
mod help;
#[cfg(feature = "fetch")]
mod hub_server;
mod in_browser;
mod inputs;
mod json;
mod looks;
mod looks_shown;
mod pipes;
mod place;
mod plans;
mod plans_published;
mod prefers;
mod program;
mod relay;
mod scores_tasks;
mod serves;
mod serves_on;
mod serves_wrong;
mod service;
mod trains;
mod trains_data;
mod trains_together;
mod tunes;

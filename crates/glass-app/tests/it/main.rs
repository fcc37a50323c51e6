//! All integration tests of the program, in one binary: they run it as a user would.

mod advice;
mod browser;
mod cases;
mod chats;
mod errors;
mod help;
mod inputs;
mod json;
mod looks;
mod looks_shown;
mod page;
mod pipes;
mod program;
mod scores_tasks;
mod trains;

//! All integration tests of this crate, in one binary.

mod allocations;
mod census;
mod files;
mod files_refused;
mod mutated;
mod conversation;
mod generate;
mod house;
mod score;
mod model;
mod pytorch;
mod tiny;
mod scratch;
mod train_chats;
mod train_data;
mod train_order;
mod train_prepare;
mod train_run;
mod tokens;
mod tokens_json;
mod tokens_learn;
mod tokens_stream;
mod chat;
mod next_token;

//! The description of every request, made from the types that read them, and its page.

use axum::response::Response;
use utoipa::OpenApi;

use super::error::{ErrorBody, ErrorDetail};
use super::fields::json;
use super::routes::{chat, completions, embeddings, health, look, models, responses, tokens};

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(title = "Glass", description = "A GPT you can see through, in OpenAI's shapes. A field that is unknown, or asks for \
        what cannot be done, is refused with its name and never ignored."),
    paths(chat::complete, completions::complete, responses::respond, embeddings::embed, look::look, tokens::tokenize,
        tokens::detokenize, models::list, models::one, health::health, health::metrics),
    components(schemas(ErrorBody, ErrorDetail)),
    tags((name = "OpenAI", description = "As OpenAI's clients send them"),
        (name = "Tokens", description = "Texts and tokens"),
        (name = "Inside", description = "What happens inside the model"),
        (name = "Operation", description = "For monitoring"))
)]
struct Description;

/// `GET /openapi.json`.
pub async fn description() -> Response {
    json(&Description::openapi())
}

//! The description of every request, made from the types that read them, and its page.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::body::json as json_body;
use super::error::{Answered, ErrorBody, ErrorDetail, Refusal};
use super::routes::{chat, completions, embeddings, explain, health, look, models, responses, tokens};
use super::state::Shared;

/// The description.
#[derive(OpenApi)]
#[openapi(
    info(title = "Glass", description = "A GPT you can see through, in OpenAI's shapes. A field that is unknown, or asks for \
        what cannot be done, is refused with its name and never ignored."),
    paths(chat::complete, completions::complete, responses::respond, embeddings::embed, look::look, explain::explain, tokens::tokenize,
        tokens::detokenize, models::list, models::one, health::health, health::metrics),
    components(schemas(ErrorBody, ErrorDetail)),
    tags((name = "OpenAI", description = "As OpenAI's clients send them"),
        (name = "Tokens", description = "Texts and tokens"),
        (name = "Inside", description = "What happens inside the model"),
        (name = "Operation", description = "For monitoring"))
)]
struct Description;

/// `GET /openapi.json`: what the types say, with the model's name and the only values of fields that may ask for nothing.
pub async fn description(State(service): State<Shared>) -> Answered<Response> {
    let described = serde_json::to_value(Description::openapi());
    let mut described = described.map_err(|error| Refusal::fault(error.to_string()))?;
    let schemas = described["components"]["schemas"].as_object_mut();
    for (name, schema) in schemas.into_iter().flatten() {
        let rules = match name.as_str() {
            "ChatRequest" => chat::NEUTRAL,
            "CompletionRequest" => completions::NEUTRAL,
            "EmbeddingRequest" => embeddings::NEUTRAL,
            "ResponseRequest" => responses::NEUTRAL,
            _ => &[],
        };
        let Some(fields) = schema["properties"].as_object_mut() else { continue };
        let names = service.card.names().into_iter().map(Value::from).chain([Value::Null]);
        let model = json!({"enum": names.collect::<Vec<_>>()});
        let rules = rules.iter().filter_map(|(name, rule)| Some((*name, rule.schema()?)));
        for (name, values) in rules.chain([("model", model)]) {
            if let (Some(field), Value::Object(values)) = (fields.get_mut(name), values) {
                let about = field.get("description").cloned();
                *field = Value::Object(values);
                field["description"] = about.unwrap_or_default();
            }
        }
    }
    Ok(json_body(&described))
}

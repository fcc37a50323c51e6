//! `response_format`: the form that an answer keeps to.

use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// The form of an answer.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Format {
    /// Any text.
    #[default]
    Text,
    /// A JSON object.
    JsonObject,
    /// JSON of this schema.
    JsonSchema {
        /// The schema, with its name.
        json_schema: NamedSchema,
    },
}

/// A schema with its name.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NamedSchema {
    /// A name; passes.
    #[allow(dead_code)]
    pub name: Option<String>,
    /// A description; passes.
    #[allow(dead_code)]
    pub description: Option<String>,
    /// The schema.
    #[schema(value_type = Object)]
    pub schema: Option<Value>,
    /// Passes: schemas are always kept to.
    #[allow(dead_code)]
    pub strict: Option<bool>,
}

impl Format {
    /// The schema that restricts the answer.
    pub fn schema(&self) -> Option<Value> {
        match self {
            Format::Text => None,
            Format::JsonObject => Some(json!({"type": "object"})),
            Format::JsonSchema { json_schema } => {
                Some(json_schema.schema.clone().unwrap_or_else(|| json!({"type": "object"})))
            }
        }
    }
}

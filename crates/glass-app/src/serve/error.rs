//! What a client is told when something is wrong: OpenAI's shape, with the field's name.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not done.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// What is told.
    pub error: ErrorDetail,
}

/// A request's result.
pub type Answered<T> = Result<T, Refusal>;

/// What went wrong.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorDetail {
    /// One sentence: what was found, what was expected, what to do.
    pub message: String,
    /// The kind of error, as OpenAI names it.
    pub r#type: &'static str,
    /// The field that is wrong, if it is one field.
    pub param: Option<String>,
    /// A name for programs.
    pub code: Option<&'static str>,
}

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// What went wrong.
    pub error: ErrorDetail,
}

impl Refusal {
    fn new(status: StatusCode, r#type: &'static str, code: Option<&'static str>, message: String) -> Refusal {
        Refusal { status, error: ErrorDetail { message, r#type, param: None, code } }
    }

    /// A field is wrong.
    pub fn field(param: impl Into<String>, message: impl std::fmt::Display) -> Refusal {
        let param = param.into();
        let refusal = Refusal::request(format!("{param}: {message}"));
        Refusal { error: ErrorDetail { param: Some(param), ..refusal.error }, ..refusal }
    }

    /// The request is wrong as a whole.
    pub fn request(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message.into())
    }

    /// The same request with another status.
    pub fn status(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        Refusal::new(status, "invalid_request_error", Some(code), message.into())
    }

    /// With a name for programs.
    pub fn code(mut self, code: &'static str) -> Refusal {
        self.error.code = Some(code);
        self
    }

    /// The same about a field that has another name in this request.
    pub fn renamed(mut self, from: &str, to: &str) -> Refusal {
        if let Some(param) = self.error.param.take() {
            let rest = param.strip_prefix(from);
            let renamed = rest.map_or_else(|| param.clone(), |rest| format!("{to}{rest}"));
            self.error.message = self.error.message.replacen(&param, &renamed, 1);
            self.error.param = Some(renamed);
        }
        self
    }

    /// The service cannot do it now.
    pub fn busy(status: StatusCode, code: &'static str, message: impl Into<String>) -> Refusal {
        let kind = if status == StatusCode::TOO_MANY_REQUESTS { "rate_limit_error" } else { "server_error" };
        Refusal::new(status, kind, Some(code), message.into())
    }

    /// The service is at fault.
    pub fn fault(message: impl Into<String>) -> Refusal {
        Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "server_error",
            Some("internal_error"),
            message.into(),
        )
    }

    /// It takes too long.
    pub fn too_long(seconds: u64) -> Refusal {
        let message = format!("the answer took longer than {seconds} seconds; ask for fewer tokens");
        Refusal::new(StatusCode::GATEWAY_TIMEOUT, "server_error", Some("timeout"), message)
    }

    /// The service is being stopped.
    pub fn stopping() -> Refusal {
        let message = "the service is being stopped; try again when it is back";
        Refusal::busy(StatusCode::SERVICE_UNAVAILABLE, "stopping", message)
    }

    /// The body of an answer, or of an event in a stream.
    pub fn body(&self) -> ErrorBody {
        ErrorBody { error: self.error.clone() }
    }
}

/// Errors of the library: an argument is the client's, anything else the service's.
impl From<glass::Error> for Refusal {
    fn from(error: glass::Error) -> Refusal {
        match error {
            glass::Error::InvalidArgument { what, why } => Refusal::field(what, why),
            other => Refusal::fault(other.to_string()),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, super::body::json(&self.body())).into_response();
        let retry = match (self.status, self.error.code) {
            (StatusCode::TOO_MANY_REQUESTS, _) => Some("1"),
            (StatusCode::SERVICE_UNAVAILABLE, _) => Some("5"),
            _ => None,
        };
        if let Some(seconds) = retry {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static(seconds));
        }
        // The same answer would take as long again.
        if self.status == StatusCode::GATEWAY_TIMEOUT {
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
        }
        response
    }
}

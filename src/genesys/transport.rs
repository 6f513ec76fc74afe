//! Transport: turns a call into an HTTP request, exchanges it, and reads what came back.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Uri, header};
use tower::{Service, ServiceExt as _};

use super::answer::Answer;
use super::echo::{gives_away, id_gives_away, without};
use super::error::{CallError, Cause};
use super::exchange::{BodyLimit, ConnectionChoice, Exchange, ExchangeOptions};
use super::request::{Call, Operation};
use crate::conversation::NoConversation;
use crate::telemetry::traces::TRACEPARENT;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// The API at its base URL.
#[derive(Debug, Clone)]
pub struct Transport(Arc<Base>);

/// In one piece, because each layer above clones it with every call.
#[derive(Debug)]
struct Base {
    exchange: Exchange,
    scheme: Scheme,
    authority: Authority,
    prefix: String,
}

impl Transport {
    /// Calls go to `base`, for example `https://api.mypurecloud.com`; a path in it is a prefix.
    ///
    /// # Errors
    /// `base` is not an absolute `http` or `https` URL.
    pub fn new(base: &str, exchange: Exchange) -> Result<Self, String> {
        let wrong = || format!("\"{base}\" is not a URL with a host; write it as \"https://api.mypurecloud.com\"");
        let parts = base.trim_end_matches('/').parse::<Uri>().map_err(|_| wrong())?.into_parts();
        let (Some(scheme), Some(authority)) = (parts.scheme, parts.authority) else { return Err(wrong()) };
        let prefix = parts.path_and_query.as_ref().map_or("", |p| p.path()).trim_end_matches('/').to_owned();
        Ok(Self(Arc::new(Base { exchange, scheme, authority, prefix })))
    }

    fn request(&self, call: &Call) -> Result<Request<Bytes>, CallError> {
        let path = match self.0.prefix.as_str() {
            "" => call.path.clone(),
            prefix => [prefix.as_bytes(), &call.path].concat().into(),
        };
        let unfit = || CallError::BrokenAnswer(Cause::text("the request does not make a valid URL"));
        let uri = Uri::builder()
            .scheme(self.0.scheme.clone())
            .authority(self.0.authority.clone())
            .path_and_query(PathAndQuery::from_maybe_shared(path).map_err(|_| unfit())?)
            .build()
            .map_err(|_| unfit())?;
        let mut request = Request::new(call.body.clone());
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, JSON);
        // Without it any coding may be sent (RFC 9110, 12.5.3), and we decode none.
        headers.insert(header::ACCEPT_ENCODING, IDENTITY);
        if let Some(token) = &call.token {
            headers.insert(header::AUTHORIZATION, token.header().clone());
        }
        if !call.body.is_empty() {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        // A text that cannot be in a header was refused when the request came in.
        if let Some(Ok(traceparent)) = call.traceparent.as_deref().map(HeaderValue::from_str) {
            headers.insert(TRACEPARENT, traceparent);
        }
        let body = match call.operation {
            Operation::ConversationRead if call.whole_body => BodyLimit::WHOLE,
            Operation::AnalyticsRead => BodyLimit::WHOLE,
            Operation::ConversationRead => BodyLimit::CONVERSATION,
            Operation::AnalyticsQuery | Operation::NamesRead => BodyLimit::WHOLE,
            _ => BodyLimit::default(),
        };
        let connection = if call.fresh_connection { ConnectionChoice::Fresh } else { ConnectionChoice::Pooled };
        let context = Some(Arc::clone(&call.context));
        request.extensions_mut().insert(ExchangeOptions { body, connection, context });
        Ok(request)
    }
}

impl Service<Call> for Transport {
    type Response = Answer;
    type Error = CallError;
    type Future = Pin<Box<dyn Future<Output = Result<Answer, CallError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let request = match self.request(&call) {
            Ok(request) => request,
            Err(e) => return Box::pin(std::future::ready(Err(e))),
        };
        let exchange = self.0.exchange.clone().oneshot(request);
        Box::pin(async move {
            let mut answer = Answer::from_http(exchange.await?);
            if let Some(token) = &call.token {
                // Some gateways echo what they were sent; callers must not see our token.
                answer.body.bytes = without(answer.body.bytes, token.secret());
                if hides_echo(&answer, token.secret()) {
                    answer.streamed = Some(Arc::new(Err(NoConversation)));
                }
                answer.correlation_id = answer.correlation_id.filter(|id| !id_gives_away(id, token.secret()));
            }
            Ok(answer)
        })
    }
}

/// A conversation that was read as it came has no body left to look into: its texts are looked into instead.
fn hides_echo(answer: &Answer, secret: &[u8]) -> bool {
    let read = answer.streamed.as_deref().and_then(|read| read.as_ref().ok());
    read.is_some_and(|conversation| gives_away(conversation.texts().as_bytes(), secret))
}

#[cfg(test)]
mod tests {
    use super::super::answer::Body;
    use super::*;
    use crate::conversation::{Conversation, Streamed};

    #[test]
    fn a_long_conversation_that_was_read_as_it_came_is_looked_into_as_well() {
        let answer = |name: &str| {
            let body = serde_json::json!({"participants": [{"id": "p", "name": name}]}).to_string();
            let streamed: Streamed = Arc::new(Conversation::from_reader(body.as_bytes()));
            let response = http::Response::builder().extension(streamed).body(Body::complete(Bytes::new()));
            Answer::from_http(response.unwrap())
        };
        let secret = b"a-token-that-nobody-may-see";
        assert!(hides_echo(&answer("I am a-token-that-nobody-may-see"), secret));
        assert!(!hides_echo(&answer("Anna"), secret));
    }
}

//! Reads the body of an answer: as much of it as is wanted, in memory that does not grow with what the upstream sends.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::conversation::{Conversation, Streamed};
use crate::genesys::answer::{Body, BodyEnd};

/// How much of a body is read, and what is made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimit {
    /// Bytes after which reading ends. Only a success may be longer than an error body.
    pub bytes: usize,
    /// With a 2xx the status says it all: the body is given only a moment, so that the connection can be used again.
    pub success_needs_no_body: bool,
    /// A long body is read as a conversation while it comes, and not kept. The [`Streamed`] is in the answer's extensions.
    pub streams_conversation: bool,
}

impl Default for BodyLimit {
    /// For disconnects: a 2xx needs no body, an error's body says why.
    fn default() -> Self {
        Self { bytes: SMALL_BODY, success_needs_no_body: true, streams_conversation: false }
    }
}

impl BodyLimit {
    /// For a login.
    pub(crate) const GRANT: Self =
        Self { bytes: SMALL_BODY, success_needs_no_body: false, streams_conversation: false };
    /// For a read that is judged: a history of 100,000 messages, in little memory.
    pub(crate) const CONVERSATION: Self =
        Self { bytes: CONVERSATION_BODY, success_needs_no_body: false, streams_conversation: true };
    /// For a read whose body is handed on as it is.
    pub(crate) const WHOLE: Self =
        Self { bytes: CONVERSATION_BODY, success_needs_no_body: false, streams_conversation: false };
}

/// Enough for any error body or login answer.
const SMALL_BODY: usize = 16 * 1024;
/// Longest conversation that is read.
const CONVERSATION_BODY: usize = 32 * 1024 * 1024;
/// Up to this, bodies are read freely; beyond, a few at a time, which bounds our memory.
const ORDINARY_BODY: usize = 16 * 1024;
/// Long bodies that are in memory at once.
const LARGE_BODIES: usize = 2;
/// Conversations that are read as they come at once. Each has a thread while it lasts.
const STREAMS: usize = 4;
/// Pieces of a body that wait for their thread.
const PIECES: usize = 4;
/// How long a body that is not needed may take to end.
const UNNEEDED_BODY_WAIT: Duration = Duration::from_millis(100);

/// Reads bodies, the long ones a few at a time.
#[derive(Debug)]
pub(super) struct BodyReader {
    large: Arc<Semaphore>,
    streams: Semaphore,
}

impl BodyReader {
    pub(super) fn new() -> Self {
        Self { large: Arc::new(Semaphore::new(LARGE_BODIES)), streams: Semaphore::new(STREAMS) }
    }

    /// Reads what is wanted of the body.
    pub(super) async fn take<B>(&self, response: Response<B>, limit: BodyLimit) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let (mut head, body) = response.into_parts();
        let success = head.status.is_success();
        let bytes = if success { limit.bytes } else { limit.bytes.min(SMALL_BODY) };
        if success && limit.success_needs_no_body {
            let reading = self.read(body, bytes);
            let broken = Body { bytes: Bytes::new(), end: BodyEnd::Broken };
            let body = tokio::time::timeout(UNNEEDED_BODY_WAIT, reading).await.unwrap_or(broken);
            return Response::from_parts(head, body);
        }
        if !(success && limit.streams_conversation) {
            let body = self.read(body, bytes).await;
            return Response::from_parts(head, body);
        }
        // Boxed: disconnects do not need it.
        let (body, streamed) = Box::pin(self.read_conversation(body, bytes)).await;
        if let Some(streamed) = streamed {
            head.extensions.insert(streamed);
        }
        Response::from_parts(head, body)
    }

    async fn read<B>(&self, mut body: B, limit: usize) -> Body
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let begun = match begin(&mut body, limit).await {
            Begun::All(body) => return body,
            Begun::Long(begun) => begun,
        };
        let permit = Arc::clone(&self.large).acquire_owned().await.ok();
        let length = body.size_hint().exact().and_then(|rest| usize::try_from(rest).ok()).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(begun.len() + length.min(limit));
        bytes.extend_from_slice(&begun);
        let held = |bytes: BytesMut| Bytes::from_owner(LongBody { bytes, _permit: permit });
        loop {
            match next(&mut body).await {
                Ok(Some(piece)) if bytes.len() + piece.len() > limit => {
                    return Body { bytes: Bytes::new(), end: BodyEnd::TooLarge };
                }
                Ok(Some(piece)) => bytes.extend_from_slice(&piece),
                Ok(None) => return Body::complete(held(bytes)),
                Err(BrokenBody) => return Body { bytes: Bytes::new(), end: BodyEnd::Broken },
            }
        }
    }

    /// A short body is kept; a long one is read by a thread of its own while it comes.
    async fn read_conversation<B>(&self, mut body: B, limit: usize) -> (Body, Option<Streamed>)
    where
        B: http_body::Body<Data = Bytes> + Unpin,
    {
        let begun = match begin(&mut body, limit).await {
            Begun::All(body) => return (body, None),
            Begun::Long(begun) => begun,
        };
        let nothing = |end| (Body { bytes: Bytes::new(), end }, None);
        let _permit = self.streams.acquire().await;
        let (pieces, coming) = mpsc::channel(PIECES);
        let reading = tokio::task::spawn_blocking(move || Conversation::from_reader(Coming { piece: begun, coming }));
        let mut left = limit.saturating_sub(ORDINARY_BODY);
        loop {
            match next(&mut body).await {
                Ok(Some(piece)) if piece.len() > left => return nothing(BodyEnd::TooLarge),
                Ok(Some(piece)) => {
                    left -= piece.len();
                    // The reader has given up: whatever follows, this is not a conversation.
                    if pieces.send(piece).await.is_err() {
                        break;
                    }
                }
                Ok(None) => break,
                Err(BrokenBody) => return nothing(BodyEnd::Broken),
            }
        }
        drop(pieces);
        match reading.await {
            Ok(read) => (Body::complete(Bytes::new()), Some(Arc::new(read))),
            Err(_) => nothing(BodyEnd::Broken),
        }
    }
}

/// How a body begins.
enum Begun {
    /// It ends within [`ORDINARY_BODY`].
    All(Body),
    /// It goes on.
    Long(Bytes),
}

/// The connection broke, or its framing was wrong.
struct BrokenBody;

async fn begin<B>(body: &mut B, limit: usize) -> Begun
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let length = body.size_hint().exact();
    if length.is_some_and(|length| length > limit as u64) {
        return Begun::All(Body { bytes: Bytes::new(), end: BodyEnd::TooLarge });
    }
    let mut bytes = BytesMut::new();
    loop {
        let piece = match next(body).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return Begun::All(Body::complete(bytes.freeze())),
            Err(BrokenBody) => return Begun::All(Body { bytes: bytes.freeze(), end: BodyEnd::Broken }),
        };
        // The usual case, the whole body in one piece, is not copied.
        if length == Some(piece.len() as u64) {
            return Begun::All(Body::complete(piece));
        }
        if bytes.len() + piece.len() > limit {
            return Begun::All(Body { bytes: bytes.freeze(), end: BodyEnd::TooLarge });
        }
        bytes.extend_from_slice(&piece);
        if bytes.len() > ORDINARY_BODY {
            return Begun::Long(bytes.freeze());
        }
    }
}

/// The next piece of a body; `None` at its end.
async fn next<B>(body: &mut B) -> Result<Option<Bytes>, BrokenBody>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    loop {
        match body.frame().await.map(|frame| frame.map(Frame::into_data)) {
            Some(Ok(Ok(piece))) => return Ok(Some(piece)),
            // Trailers: nothing that we need.
            Some(Ok(Err(_))) => {}
            None => return Ok(None),
            Some(Err(_)) => return Err(BrokenBody),
        }
    }
}

/// A long body. Its permit is free again when the last of those who hold it lets go.
struct LongBody {
    bytes: BytesMut,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for LongBody {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A body as its pieces come in. Blocks until the next one is there.
struct Coming {
    piece: Bytes,
    coming: mpsc::Receiver<Bytes>,
}

impl Read for Coming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(piece) = self.coming.blocking_recv() else { return Ok(0) };
            self.piece = piece;
        }
        let length = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

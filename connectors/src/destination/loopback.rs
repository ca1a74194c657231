//! For tests: a server on this machine that writes down what it is asked, over HTTP/1.1 or HTTP/2, with TLS or without.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tributary_model::{DeliveryPolicy, IdentifierId, ProfileId, Reach};

use super::Message;

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) method: String,
    /// With its query.
    pub(super) path: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub(super) version: String,
    /// By their names in small letters.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Bytes,
}

impl Received {
    /// The body as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    /// A header, empty if it is not there.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Reply {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }
}

/// A server, which ends with the test.
#[derive(Clone, Debug)]
pub(super) struct Loopback {
    /// `http://127.0.0.1:port` or `https://localhost:port`, without a slash at the end.
    pub(super) url: String,
    ca: Option<Vec<u8>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Loopback {
    /// A server that answers each request as `answer` says.
    pub(super) async fn start(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(None, answer).await
    }

    /// The same over TLS, with a certificate that only [`reach`](Self::reach) trusts.
    pub(super) async fn start_tls(answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::serve(Some(Certified::new()), answer).await
    }

    async fn serve(certified: Option<Certified>, answer: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (url, ca, acceptor) = match certified {
            None => (format!("http://127.0.0.1:{port}"), None, None),
            Some(Certified { pem, acceptor }) => (format!("https://localhost:{port}"), Some(pem), Some(acceptor)),
        };
        let (book, answer) = (received.clone(), Arc::new(answer));
        tokio::spawn(async move {
            loop {
                let Ok((socket, _)) = listener.accept().await else { return };
                let (book, answer, acceptor) = (book.clone(), answer.clone(), acceptor.clone());
                tokio::spawn(async move {
                    match acceptor {
                        None => connection(socket, book, answer).await,
                        Some(acceptor) => {
                            if let Ok(socket) = acceptor.accept(socket).await {
                                connection(socket, book, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self { url, ca, received }
    }

    /// How it is reached.
    pub(super) fn reach(&self) -> Reach {
        Reach { allow_private: true, ca: self.ca.clone() }
    }

    /// All that came so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// A certificate for `localhost`, and who shows it.
pub(super) struct Certified {
    /// Whom to trust.
    pub(super) pem: Vec<u8>,
    pub(super) acceptor: TlsAcceptor,
}

impl Certified {
    pub(super) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let mut config =
            ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self { pem: made.cert.pem().into_bytes(), acceptor: TlsAcceptor::from(Arc::new(config)) }
    }
}

async fn connection<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    socket: S,
    book: Arc<Mutex<Vec<Received>>>,
    answer: Arc<impl Fn(&Received) -> Reply + Send + Sync + 'static>,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (book, answer) = (book.clone(), answer.clone());
        async move {
            let received = receive(request).await;
            let reply = answer(&received);
            book.lock().unwrap().push(received);
            let mut response = Response::builder().status(reply.status);
            for (name, value) in &reply.headers {
                response = response.header(*name, value);
            }
            Ok::<_, Infallible>(response.body(Whole(Some(reply.body.into()))).unwrap())
        }
    });
    // Clients hang up as they like.
    auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), service).await.ok();
}

async fn receive(request: Request<Incoming>) -> Received {
    let (parts, mut body) = request.into_parts();
    let mut bytes = Vec::new();
    while let Some(Ok(frame)) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        bytes.extend_from_slice(&frame.into_data().unwrap_or_default());
    }
    let header = |(name, value): (&hyper::header::HeaderName, &hyper::header::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    Received {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        version: format!("{:?}", parts.version),
        headers: parts.headers.iter().map(header).collect(),
        body: bytes.into(),
    }
}

/// A body of one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// A message whose trigger has made these fields.
pub(super) fn message(fields: &serde_json::Value) -> Message {
    Message {
        sequence: 1,
        id: "msg_0123456789abcdef0123456789abcdef".to_owned(),
        trigger: "welcome".to_owned(),
        destination: "out".to_owned(),
        profile: ProfileId(1),
        about: IdentifierId(1),
        body: fields.to_string().into(),
        created_at: 0,
        attempts: 0,
    }
}

/// How the server may be called: once at a time, for two seconds.
pub(super) fn policy() -> DeliveryPolicy {
    DeliveryPolicy { timeout_ms: 2_000, max_attempts: 3, concurrency: 1, rate: None, give_up_after_ms: 60_000 }
}

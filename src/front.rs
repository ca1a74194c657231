//! The accept loop: what stands between TCP and the routes, with a bound on everything that a client can hold.
//!
//! A connection that says nothing, or takes nothing, is closed; there are never more of them than files can be spared, so
//! that the state and the log can always open theirs.

use crate::telemetry;
use crate::tls::Tls;
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::service_fn;
use tower_service::Service;

/// Bytes of a request's line and headers at most; a longer one is answered 431.
const HEADER_BYTES: usize = 64 << 10;
/// Headers of a request at most; more are answered 431.
const HEADERS: usize = 100;
/// How long nobody is accepted after that has failed, as it does when there are no files left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How a request came, for those who tell a client where to send the next.
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HTTPS: HeaderValue = HeaderValue::from_static("https");
/// Files that are left for the state, the log and destinations.
const OWN_FILES: usize = 512;

/// What clients may hold.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections open at once; the next ones wait until one is closed.
    pub connections: usize,
    /// How long a new connection may take until its first request's headers are there.
    pub first: Duration,
    /// How long a connection may take to send the next request's headers, or to take what it is sent.
    pub idle: Duration,
    /// How long requests under way may go on after the end has come.
    pub drain: Duration,
}

impl Bounds {
    /// The same with no more connections than files can be spared for.
    #[must_use]
    pub fn within_files(self) -> Self {
        let Some(files) = max_open_files() else { return self };
        let spared = files.saturating_sub(OWN_FILES).max(files / 2).max(1);
        if spared < self.connections {
            tracing::warn!(
                files,
                connections = spared,
                "the limit on open files (ulimit -n) leaves room for fewer connections than [http] max_connections"
            );
        }
        Self { connections: self.connections.min(spared), ..self }
    }
}

/// The process's limit on open files, where the system tells.
fn max_open_files() -> Option<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Answers by `router` until `stop`, over TLS if there is any; then finishes what is under way, and cuts off what takes too long.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    tls: Option<Arc<Tls>>,
    stop: CancellationToken,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(bounds.idle)
        .max_headers(HEADERS)
        .max_header_size(HEADER_BYTES)
        .half_close(true);
    let room = Arc::new(Semaphore::new(bounds.connections));
    let mut open = JoinSet::new();
    loop {
        let next = async {
            // Where there is no room, whoever comes waits with the system.
            let place = room.clone().acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            Some(_) = open.join_next(), if !open.is_empty() => {
                telemetry::connections(open.len());
                continue;
            }
            () = stop.cancelled() => break,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
                    tracing::warn!(%error, "no connection can be accepted at the moment");
                    sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let (http, router, stop) = (http.clone(), router.clone(), stop.clone());
        let tls = tls.as_ref().map(|tls| tls.config());
        open.spawn(async move {
            let _place = place;
            socket.set_nodelay(true).ok();
            let socket = Impatient { socket, idle: bounds.idle, stuck: None };
            match tls {
                None => answer(&http, router, (socket, peer, None), bounds, stop).await,
                Some(tls) => match timeout(bounds.first, TlsAcceptor::from(tls).accept(socket)).await {
                    Ok(Ok(socket)) => answer(&http, router, (socket, peer, Some(HTTPS)), bounds, stop).await,
                    Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS"),
                    Err(_) => tracing::debug!(%peer, "no TLS in time"),
                },
            }
        });
        telemetry::connections(open.len());
    }
    drop(listener);
    if timeout(bounds.drain, async { while open.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(connections = open.len(), "some requests did not end in time and were cut off");
        open.shutdown().await;
    }
}

/// Answers the requests of one connection.
async fn answer(
    http: &http1::Builder,
    router: Router,
    (socket, peer, proto): (impl AsyncRead + AsyncWrite + Unpin, SocketAddr, Option<HeaderValue>),
    bounds: Bounds,
    stop: CancellationToken,
) {
    let asked = Arc::new(AtomicBool::new(false));
    let has_asked = asked.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        asked.store(true, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(proto) = &proto {
            request.headers_mut().entry(FORWARDED_PROTO).or_insert_with(|| proto.clone());
        }
        router.clone().call(request)
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(socket), TowerToHyperService::new(service)));
    let never_asks = async {
        sleep(bounds.first).await;
        if has_asked.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = never_asks => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        // Clients go away all the time.
        tracing::debug!(%error, %peer, "a connection has ended");
    }
}

/// A socket whose other end must take what it is sent.
struct Impatient {
    socket: TcpStream,
    idle: Duration,
    /// Ends when it has taken nothing for too long.
    stuck: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn watch<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.stuck = None;
            return wrote;
        }
        let idle = self.idle;
        ready!(self.stuck.get_or_insert_with(|| Box::pin(sleep(idle))).as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.watch(cx, shut)
    }
}

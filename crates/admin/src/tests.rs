//! The operators' face through its router.

use std::net::SocketAddr;

use async_trait::async_trait;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::{Value, json};
use tertulia_domain::Timestamp;
use tower::ServiceExt;

use super::*;

/// A house that does what its fields say.
#[derive(Default)]
struct House {
    reasons: Vec<String>,
    faults: Vec<Fault>,
}

#[async_trait]
impl Control for House {
    async fn reload(&self) -> Result<Reloaded, Vec<Fault>> {
        if self.faults.is_empty() {
            Ok(Reloaded {
                version: 2,
                changed: vec!["personas.default.prompt".into(), "server.listen".into()],
                restart_required: vec!["server.listen".into()],
            })
        } else {
            Err(self.faults.clone())
        }
    }

    async fn reasons(&self) -> Vec<String> {
        self.reasons.clone()
    }

    fn config(&self) -> Value {
        json!({"server": {"admin_token": "***"}})
    }

    fn versions(&self) -> Vec<Version> {
        vec![Version {
            version: 1,
            at: Timestamp(0),
            by: "start".into(),
            changed: Vec::new(),
        }]
    }
}

async fn ask(house: House, method: &str, path: &str) -> (StatusCode, String, Value) {
    let router = routes(AdminState {
        control: Arc::new(house),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        token: None,
    });
    let peer: SocketAddr = "127.0.0.1:4711".parse().unwrap();
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8080")
        .extension(ConnectInfo(peer))
        .body(Body::empty())
        .unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let media_type = response
        .headers()
        .get("content-type")
        .map(|value| value.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (status, media_type, body)
}

#[tokio::test]
async fn health_says_why_the_house_cannot_serve() {
    let (status, _, body) = ask(House::default(), "GET", "/health/live").await;
    assert_eq!((status, body), (StatusCode::OK, json!({"live": true})));

    let (status, _, body) = ask(House::default(), "GET", "/health/ready").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body, json!({"ready": true, "reasons": []}));

    let house = House {
        reasons: vec!["storage: not reachable".into()],
        ..House::default()
    };
    let (status, _, body) = ask(house, "GET", "/health/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        body,
        json!({"ready": false, "reasons": ["storage: not reachable"]})
    );
}

#[tokio::test]
async fn metrics_are_prometheus_text() {
    let (status, media_type, _) = ask(House::default(), "GET", "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(media_type.starts_with("text/plain; version=0.0.4"));
}

#[tokio::test]
async fn a_reload_says_what_changed_or_every_problem() {
    let path = "/api/v1/config/reload";
    let (status, _, body) = ask(House::default(), "POST", path).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        body,
        json!({
            "version": 2,
            "changed": ["personas.default.prompt", "server.listen"],
            "restart_required": ["server.listen"],
        })
    );

    let house = House {
        faults: vec![Fault {
            file: "config/tertulia.toml".into(),
            line: 3,
            column: 9,
            key: "server.drain".into(),
            message: "not a duration".into(),
        }],
        ..House::default()
    };
    let (status, media_type, body) = ask(house, "POST", path).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(media_type, "application/problem+json");
    assert_eq!(
        body["problems"],
        json!([{
            "file": "config/tertulia.toml",
            "line": 3,
            "column": 9,
            "key": "server.drain",
            "message": "not a duration",
        }])
    );
}

#[tokio::test]
async fn the_config_and_its_history_can_be_read() {
    let (status, _, body) = ask(House::default(), "GET", "/api/v1/config").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["server"]["admin_token"], "***");

    let (_, _, body) = ask(House::default(), "GET", "/api/v1/config/versions").await;
    let at = "1970-01-01T00:00:00.000Z";
    assert_eq!(
        body,
        json!({"versions": [{"version": 1, "at": at, "by": "start", "changed": []}]})
    );
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_document() {
    for (method, path, expected) in [
        ("GET", "/api/v1/nothing", StatusCode::NOT_FOUND),
        (
            "GET",
            "/api/v1/config/reload",
            StatusCode::METHOD_NOT_ALLOWED,
        ),
    ] {
        let (status, media_type, body) = ask(House::default(), method, path).await;
        assert_eq!(status, expected);
        assert_eq!(media_type, "application/problem+json");
        assert_eq!(body["status"], expected.as_u16());
    }
}

#[tokio::test]
async fn nobody_from_nowhere_is_let_in() {
    let state = AdminState {
        control: Arc::new(House::default()),
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        token: Some("open sesame".into()),
    };
    for (shown, expected) in [
        (None, StatusCode::UNAUTHORIZED),
        (Some("Bearer wrong"), StatusCode::UNAUTHORIZED),
        (Some("Bearer open sesame"), StatusCode::OK),
    ] {
        let mut request = Request::get("/api/v1/config");
        if let Some(shown) = shown {
            request = request.header("authorization", shown);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = routes(state.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), expected);
        let asks = response.headers().contains_key("www-authenticate");
        assert_eq!(asks, expected == StatusCode::UNAUTHORIZED);
    }
}

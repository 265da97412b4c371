//! Where clients find what they need: the metadata of the resource (RFC 9728) and of the server that authorizes (RFC 8414). Every
//! address in them is made of the configured one.

use actix_web::web;
use serde::Serialize;
use utoipa::ToSchema;
use zenovay_auth::{AccessLevel, ToolScopes};

use super::bearer::least_scope;
use crate::http::guard::Public;
use crate::http::handler::Json;
use crate::http::state::AppState;

/// What the resource at `/mcp` is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResourceMetadata {
    /// Its address, which tokens are made for.
    #[schema(examples("https://stats.example/mcp"))]
    resource: String,
    /// Who makes tokens for it.
    #[schema(examples("https://stats.example"))]
    authorization_servers: Vec<String>,
    /// The least that a client asks for; the page of consent offers the rest.
    #[schema(examples("read"))]
    scopes_supported: [&'static str; 1],
    /// How a token is shown.
    #[schema(examples("header"))]
    bearer_methods_supported: [&'static str; 1],
    /// Its name for people.
    #[schema(examples("zenovay"))]
    resource_name: &'static str,
}

/// `GET /.well-known/oauth-protected-resource`, also with `/mcp` behind it.
pub async fn resource(_: Public, state: web::Data<AppState>) -> Json<ResourceMetadata> {
    Json(ResourceMetadata {
        resource: state.mcp_url(),
        authorization_servers: vec![state.issuer.clone()],
        scopes_supported: [least_scope()],
        bearer_methods_supported: ["header"],
        resource_name: "zenovay",
    })
}

/// What the server that authorizes does.
#[derive(Debug, Serialize, ToSchema)]
pub struct ServerMetadata {
    /// Who it is.
    #[schema(examples("https://stats.example"))]
    issuer: String,
    /// Where people are asked.
    #[schema(examples("https://stats.example/oauth/authorize"))]
    authorization_endpoint: String,
    /// Where codes and refresh tokens become tokens.
    #[schema(examples("https://stats.example/oauth/token"))]
    token_endpoint: String,
    /// Where clients register.
    #[schema(examples("https://stats.example/oauth/register"))]
    registration_endpoint: String,
    /// Where tokens are taken back.
    #[schema(examples("https://stats.example/oauth/revoke"))]
    revocation_endpoint: String,
    /// What can be granted.
    #[schema(examples("analytics:read"))]
    scopes_supported: Vec<String>,
    /// What is answered where people are asked.
    #[schema(examples("code"))]
    response_types_supported: [&'static str; 1],
    /// How it is answered there.
    #[schema(examples("query"))]
    response_modes_supported: [&'static str; 1],
    /// What becomes tokens.
    #[schema(examples("authorization_code"))]
    grant_types_supported: [&'static str; 2],
    /// How clients show there who they are.
    #[schema(examples("none"))]
    token_endpoint_auth_methods_supported: [&'static str; 3],
    /// How clients show who they are where tokens are taken back.
    #[schema(examples("none"))]
    revocation_endpoint_auth_methods_supported: [&'static str; 3],
    /// How a code is bound to the client that asked for it.
    #[schema(examples("S256"))]
    code_challenge_methods_supported: [&'static str; 1],
    /// Whether a client's id may be the address of its metadata.
    #[schema(examples(true))]
    client_id_metadata_document_supported: bool,
    /// Whether answers name who gives them (RFC 9207).
    #[schema(examples(true))]
    authorization_response_iss_parameter_supported: bool,
}

/// `GET /.well-known/oauth-authorization-server`, also with `/mcp` behind it.
pub async fn server(_: Public, state: web::Data<AppState>) -> Json<ServerMetadata> {
    let endpoint = |name: &str| format!("{}/oauth/{name}", state.issuer);
    let methods = ["none", "client_secret_post", "client_secret_basic"];
    Json(ServerMetadata {
        issuer: state.issuer.clone(),
        authorization_endpoint: endpoint("authorize"),
        token_endpoint: endpoint("token"),
        registration_endpoint: endpoint("register"),
        revocation_endpoint: endpoint("revoke"),
        scopes_supported: ToolScopes::everywhere(AccessLevel::Write).names().collect(),
        response_types_supported: ["code"],
        response_modes_supported: ["query"],
        grant_types_supported: ["authorization_code", "refresh_token"],
        token_endpoint_auth_methods_supported: methods,
        revocation_endpoint_auth_methods_supported: methods,
        code_challenge_methods_supported: ["S256"],
        client_id_metadata_document_supported: true,
        authorization_response_iss_parameter_supported: state.oauth.names_issuer,
    })
}

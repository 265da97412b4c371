//! How people let programs act for them: OAuth 2.1 for `/mcp`. What a token stands for is looked up in the store for each request,
//! so whatever ends a grant, in any process, acts on the next one.

mod answer;
pub mod authorize;
mod bearer;
mod caller;
pub mod clients;
pub mod fetch;
mod given_out;
pub mod metadata;
pub mod page;
pub mod params;
mod refusal;
pub mod register;
mod resource;
pub mod token;

pub use self::answer::Answer;
pub use self::bearer::{BearerRefusal, McpAccess, bearer, challenge, insufficient_scope};
pub use self::clients::OAuth;
pub use self::page::refuse as refuse_person;
pub use self::refusal::{OAuthErrorBody, refuse as refuse_client};

//! How people let programs act for them: OAuth 2.1 for `/mcp`. What a token stands for is looked up in the store for each request,
//! so whatever ends a grant, in any process, acts on the next one.

mod bearer;

pub use self::bearer::{BearerRefusal, McpAccess, bearer, challenge, insufficient_scope};

import { shortId } from "../../lib/format";

/** What a visitor is called: what they said of themselves, or the beginning of their id. */
export const visitorName = (visitor: { id: string; name?: string | null; email?: string | null }): string =>
  visitor.name || visitor.email || shortId(visitor.id);

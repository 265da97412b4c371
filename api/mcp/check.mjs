// What every client sees: the tools, one answer, one failure.
import assert from "node:assert/strict";

export async function check(client, call) {
  const { tools } = await client.listTools();
  assert.equal(tools[0].name, "list_websites");
  const listed = await call("list_websites", {});
  assert.deepEqual(JSON.parse(listed.content[0].text), listed.structuredContent);
  const [website] = listed.structuredContent.websites;
  const visitors = await call("get_visitors", { website_id: website.domain });
  assert.equal(visitors.structuredContent.period.timezone, website.timezone);
  const failed = await call("get_visitors", { website_id: "nothing.example" });
  assert.equal(failed.isError, true);
  assert.match(failed.content[0].text, /list_websites/);
}

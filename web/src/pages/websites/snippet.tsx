// The tag of a website for the common frameworks, to copy.
import { useState } from "preact/hooks";
import { snippetsOf } from "../../rules/snippets";
import { CodeSnippet } from "../../ui/data";

interface Props {
  readonly code: string;
  readonly domain: string;
  readonly cookieless: boolean;
}

export function TagSnippet({ code, domain, cookieless }: Props) {
  const snippets = snippetsOf({ origin: location.origin, code, domain });
  const [chosen, setChosen] = useState("html");
  const shown = snippets.find(({ id }) => id === chosen);
  if (shown === undefined) return null;
  return (
    <div class="stack stack-8">
      <CodeSnippet label="Framework" code={shown.text} forms={snippets.map(({ id, label }) => ({ value: id, label }))} value={chosen} onValue={setChosen} />
      <p class="hint">
        {shown.where.map((part) => (typeof part === "string" ? part : <code>{part.code}</code>))}{" "}
        {shown.id !== "server" && <Storage cookieless={cookieless} />}
      </p>
    </div>
  );
}

/** What the tag stores, as this website is set. */
function Storage({ cookieless }: { cookieless: boolean }) {
  if (cookieless) return <>Sends no cookies: this website is cookieless. The tag finds route changes of single-page apps by itself.</>;
  return (
    <>
      Sets a cookie only after <code>zenovay('consent', 'granted')</code>. The tag finds route changes of single-page apps by itself.
    </>
  );
}

// How errors are reported, for those who have none yet.
import { useState } from "preact/hooks";
import type { Website } from "../../lib/websites";
import { CodeSnippet } from "../../ui/data";

type Form = "tag" | "manual";

/** Snippets of the tag with a release, and of an error that a page caught itself. */
export function HowToReport({ website }: { website: Website }) {
  const [form, setForm] = useState<Form>("tag");
  const code: Record<Form, string> = {
    tag: `<script defer data-tracking-code="${website.tracking_code}"\n        data-release="2.14.0"\n        src="${location.origin}/z.js"></script>`,
    manual: `try {\n  pay(cart);\n} catch (error) {\n  zenovay("error", error, { step: "payment" });\n}`,
  };
  return (
    <div class="card-body stack how">
      <CodeSnippet<Form>
        label="How errors are reported"
        code={code[form]}
        forms={[
          { value: "tag", label: "With a release" },
          { value: "manual", label: "An error that was caught" },
        ]}
        value={form}
        onValue={setForm}
      />
      <p class="hint">
        Uncaught errors and rejections need nothing but the tag. Bundled code is shown as it was written once its <a href={`/websites/${website.id}/errors/source-maps`}>source maps</a> are here.
      </p>
    </div>
  );
}

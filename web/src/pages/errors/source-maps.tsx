// `/websites/:id/errors/source-maps`: what turns places in bundles into places in the code, release by release.
import { useState } from "preact/hooks";
import "../../styles/errors.css";
import { post, remove, type Answer } from "../../api/client";
import { refresh, useData } from "../../api/data";
import * as format from "../../lib/format";
import type { PageProps } from "../../routes";
import { Page } from "../../shell/page";
import { Button, Card, Empty, Note } from "../../ui/basic";
import { CodeSnippet, Table, type Column } from "../../ui/data";
import { Field, TextField, useForm } from "../../ui/form";
import { Confirm, MoreMenu, toast } from "../../ui/overlay";
import { CapturedPage, type Captured } from "../parts/captured";
import { FormDialog } from "../parts/form-dialog";
import { Loaded } from "../parts/loaded";

type Maps = Answer<"/api/errors/{website_id}/sourcemaps", "get">;
type SourceMap = Maps["source_maps"][number];

export default function SourceMapsPage({ params }: PageProps) {
  return (
    <CapturedPage params={params} title="Source maps" icon="page" path="errors/source-maps" feature="errors">
      {(captured) => <Content {...captured} />}
    </CapturedPage>
  );
}

function Content({ website, mayChange, why }: Captured<never>) {
  const data = useData("/api/errors/{website_id}/sourcemaps", { path: { website_id: website.id } });
  const [open, setOpen] = useState<"add" | SourceMap>();
  const zone = website.settings.time_zone;
  const columns: Column<SourceMap>[] = [
    { id: "file", title: "Bundle", class: "errcell", cell: (map) => <><span class="clip strong filename" title={map.file_name}>{map.file_name}</span><span class="hint mono clip" title={map.file_url}>{map.file_url}</span></> },
    { id: "release", title: "Release", class: "relcell", cell: (map) => <span class="clip" title={map.release}>{map.release === "default" ? <span class="dim">None</span> : map.release}</span> },
    { id: "debug_id", title: "Debug id", wide: true, class: "mono mid", cell: (map) => (map.debug_id ? <span title={map.debug_id}>{map.debug_id.slice(0, 8)}</span> : format.NOTHING) },
    { id: "bytes", title: "Size", num: true, wide: true, cell: (map) => format.bytes(map.bytes) },
    { id: "added_at", title: "Added", num: true, wide: true, class: "mid", cell: (map) => <span title={format.dateTime(map.added_at, zone)}>{format.ago(map.added_at, Date.now(), zone)}</span> },
    ...(mayChange
      ? [{ id: "menu", title: "Menu", hideTitle: true, num: true, cell: (map: SourceMap) => <MoreMenu label={`${map.file_name}: menu`} items={[{ label: "Delete", icon: "trash", danger: true, onSelect: () => setOpen(map) }]} /> }]
      : []),
  ];
  return (
    <Page
      title="Source maps"
      tab={website.domain}
      crumbs={[{ label: "Errors", href: `/websites/${website.id}/errors` }]}
      narrow
      actions={
        <Button kind="primary" icon="plus" disabledReason={why} onClick={() => setOpen("add")}>
          Add a source map
        </Button>
      }
    >
      <div class="stack stack-16">
        <section class="card" aria-label="Source maps">
          <Loaded of={data} what="Source maps" lines={5}>
            {({ source_maps: maps }) =>
              maps.length === 0 ? (
                <Empty title="No source maps yet" level={2} icon="page">
                  With the source map of a bundle, stacks show the functions, files and lines that you wrote. Errors that came before it are read anew.
                </Empty>
              ) : (
                <Table caption="Source maps, the newest first" columns={columns} rows={maps} rowKey={({ id }) => String(id)} />
              )
            }
          </Loaded>
        </section>
        <HowToSend website={website.id} />
      </div>
      {open === "add" && <AddDialog website={website.id} domain={website.domain} onClose={() => setOpen(undefined)} />}
      {open !== undefined && open !== "add" && (
        <Confirm
          title={`Delete the source map of ${open.file_name}?`}
          action="Delete"
          onClose={() => setOpen(undefined)}
          onConfirm={async () => {
            await remove("/api/errors/{website_id}/sourcemaps/{source_map_id}", { path: { website_id: website.id, source_map_id: open.id } });
            refresh(`/api/errors/${website.id}/`);
            refresh(`/api/websites/${website.id}/errors`);
            toast("Source map deleted.");
          }}
        >
          Stacks that were read with it stay as they are; the source around their lines is not shown any more. It can be sent again.
        </Confirm>
      )}
    </Page>
  );
}

type Form = "command" | "curl" | "tag";

/** How a build sends its maps by itself. */
function HowToSend({ website }: { website: string }) {
  const [form, setForm] = useState<Form>("command");
  const code: Record<Form, string> = {
    command: [
      `export ZENOVAY_SERVER=${location.origin}`,
      `export ZENOVAY_WEBSITE=${website}`,
      `export ZENOVAY_API_KEY=zv_…`,
      `zenovay sourcemaps upload dist --release 2.14.0 --url-prefix https://example.com/assets`,
    ].join("\n"),
    curl: [
      `jq -n --rawfile map dist/app-3f2a.js.map '{`,
      `  fileName: "app-3f2a.js",`,
      `  fileUrl: "https://example.com/assets/app-3f2a.js",`,
      `  release: "2.14.0", mapContent: $map }' |`,
      `curl ${location.origin}/api/errors/${website}/sourcemap \\`,
      `  -H "Authorization: Bearer $ZENOVAY_API_KEY" \\`,
      `  -H "Content-Type: application/json" --data-binary @-`,
    ].join("\n"),
    tag: `<script defer data-tracking-code="…" data-release="2.14.0" src="${location.origin}/z.js"></script>`,
  };
  return (
    <Card title="From your build">
      <CodeSnippet<Form>
        label="How source maps are sent"
        code={code[form]}
        forms={[
          { value: "command", label: "Command" },
          { value: "curl", label: "curl" },
          { value: "tag", label: "Say the release" },
        ]}
        value={form}
        onValue={setForm}
      />
      <p class="hint">
        Maps are sent and never fetched: they need not be on your website. A map is found by the debug id that bundlers write, or by the release and the address of the bundle. The key needs the permission Write. See the{" "}
        <a href="/docs/api">description of the API</a>.
      </p>
    </Card>
  );
}

/** The most bytes of a map that the page sends. */
const MOST_BYTES = 40 * 1024 * 1024;

/** A map from this computer. */
function AddDialog({ website, domain, onClose }: { website: string; domain: string; onClose: () => void }) {
  const form = useForm<{ file: File | undefined; fileUrl: string; release: string; mapContent: string }>({
    initial: { file: undefined, fileUrl: "", release: "", mapContent: "" },
    rules: {
      file: (file) => (file === undefined ? "Choose a file." : file.size > MOST_BYTES ? `It is larger than ${format.bytes(MOST_BYTES)}.` : undefined),
      fileUrl: (value) => (/^https?:\/\/[^/]+\/.+/.test(value.trim()) ? undefined : `Write the address of the bundle, such as https://${domain}/assets/app-3f2a.js.`),
    },
    submit: async ({ file, fileUrl, release }) => {
      if (!file) return;
      let map: unknown;
      try {
        map = JSON.parse(await file.text());
      } catch {
        map = undefined;
      }
      if (map === null || typeof map !== "object") {
        form.setError("file", "That file is not a source map.");
        return;
      }
      const url = fileUrl.trim();
      const { stacks } = await post("/api/errors/{website_id}/sourcemap", {
        path: { website_id: website },
        body: { fileName: url.split("/").pop() || file.name, fileUrl: url, ...(release.trim() && { release: release.trim() }), mapContent: map as Record<string, never> },
      });
      refresh(`/api/errors/${website}/`);
      refresh(`/api/websites/${website}/errors`);
      toast(stacks === 0 ? "Source map added." : `Source map added. ${format.plural(stacks, "stack")} can be read now.`);
      onClose();
    },
  });
  const wrong = form.errors.mapContent;
  return (
    <FormDialog title="Add a source map" form={form} action="Add" onClose={onClose}>
      <Field label="Source map" hint="The .map file of a bundle." error={form.errors.file ?? wrong}>
        {(tie) => <input {...tie} type="file" name="file" accept=".map,.json,application/json" class="file" onChange={(event) => form.set("file", event.currentTarget.files?.[0])} />}
      </Field>
      <TextField {...form.bind("fileUrl")} label="Address of the bundle" inputMode="url" placeholder={`https://${domain}/assets/app-3f2a.js`} hint="As it stands in stacks." />
      <TextField {...form.bind("release")} label="Release" maxLength={100} placeholder="2.14.0" hint="As your pages say it in data-release. Empty when they do not." />
      {form.pending && <Note>Stacks that came before are read anew.</Note>}
    </FormDialog>
  );
}

import { useEffect } from "preact/hooks";
import type { PageProps } from "../../routes";
import { rememberWebsite, useWebsite } from "../../lib/websites";
import { Page, PageState } from "../../shell/page";

export default function Analytics({ params }: PageProps) {
  const id = params.id ?? "";
  const { data, error, reload } = useWebsite(id);
  useEffect(() => rememberWebsite(id), [id]);
  if (!data) return <PageState title="Analytics" error={error} onRetry={reload} />;
  return <Page title="Analytics" tab={data.domain} heading={data.domain} dash>{null}</Page>;
}

// Time zones to choose from.
import { zoneName, readerZone } from "../../lib/format";
import type { Option } from "../../ui/form";

let options: readonly Option[] | undefined;

/** Every zone the browser knows, the reader's first, each with how far it is from UTC today. */
export function zoneOptions(present: string): readonly Option[] {
  options ??= [...new Set([readerZone(), "UTC", ...Intl.supportedValuesOf("timeZone")])].map((zone) => ({ value: zone, label: zoneName(zone) }));
  return options.some((option) => option.value === present) ? options : [{ value: present, label: present }, ...options];
}

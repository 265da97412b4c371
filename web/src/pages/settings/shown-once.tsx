// A new key, shown once. It lives in the state of this one view: in no address, no storage, no log.
import { useEffect, useRef, useState } from "preact/hooks";
import { CLOSE_WITHOUT_COPY, SHOWN_ONCE } from "../../rules/keys";
import { Button, Note } from "../../ui/basic";
import { copy } from "../../ui/data";
import { Dialog } from "../../ui/overlay";

/** Before the key was copied, closing asks. */
export function ShownOnce({ value, onClose }: { value: string; onClose: () => void }) {
  const [copied, setCopied] = useState(false);
  const [asking, setAsking] = useState(false);
  const output = useRef<HTMLOutputElement>(null);
  const keep = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (asking) keep.current?.focus();
  }, [asking]);
  const close = (): void => (copied ? onClose() : setAsking(true));
  const select = (): void => {
    if (output.current) getSelection()?.selectAllChildren(output.current);
  };
  return (
    <Dialog
      title="Your new API key"
      onClose={close}
      foot={
        asking ? (
          <>
            <Button key="keep" buttonRef={keep} onClick={() => setAsking(false)}>
              Keep it open
            </Button>
            <Button key="close" kind="danger" onClick={onClose}>
              Close without copying
            </Button>
          </>
        ) : (
          <>
            <Button key="done" kind="quiet" onClick={close}>
              Done
            </Button>
            <Button key="copy" kind="primary" icon={copied ? "check" : "copy"} autofocus onClick={async () => setCopied((await copy(value, output.current)) || copied)}>
              {copied ? "Copied" : "Copy"}
            </Button>
          </>
        )
      }
    >
      <div class="dlg-body">
        <Note tone="warn" icon="eye">
          <p>{SHOWN_ONCE}</p>
        </Note>
        <div class="secret" onCopy={() => setCopied(true)}>
          <output class="mono" aria-label="API key" ref={output} onClick={select}>
            {value}
          </output>
        </div>
        <p class="hint">Keep it in a secrets manager or an environment variable. The server stores only a hash.</p>
        {asking && (
          <Note tone="bad">
            <p>{CLOSE_WITHOUT_COPY}</p>
          </Note>
        )}
      </div>
    </Dialog>
  );
}

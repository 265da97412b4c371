// Changes that are sent at once, without a button that saves.
import { useRef, useState } from "preact/hooks";
import { ApiError } from "../../api/client";

/** Changes that are sent at once, and why the last one failed. */
export function useSaver<Changes>(send: (changes: Changes) => Promise<void>) {
  const [failure, setFailure] = useState<ApiError>();
  /** Whether the server took them. */
  const save = async (changes: Changes): Promise<boolean> => {
    setFailure(undefined);
    try {
      await send(changes);
      return true;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure(error);
      return false;
    }
  };
  return { failure, save };
}

interface Wish {
  readonly value: unknown;
  /** What was known when the server had taken it: whatever is known later has it. */
  readonly since?: unknown;
}

/**
 * Settings that are changed at once. `known` is the answer that has them, and `send` asks for it anew. Each is shown as it was
 * chosen last until that is refused, or until an answer has come that has it; never as it was before. Changes are sent one after
 * the other: what was chosen last is what is there in the end.
 */
export function useChoices<Changes>(known: unknown, send: (changes: Changes) => Promise<void>) {
  const [wishes, setWishes] = useState<Readonly<Record<string, Wish>>>({});
  const saver = useSaver(send);
  const sent = useRef(Promise.resolve());
  const latest = useRef(known);
  latest.current = known;
  const choose = (name: keyof Changes & string, value: unknown): void => {
    const wish: Wish = { value };
    setWishes((before) => ({ ...before, [name]: wish }));
    sent.current = sent.current.then(async () => {
      const taken = await saver.save({ [name]: value } as Changes);
      setWishes((before) => {
        const { [name]: last, ...others } = before;
        if (last !== wish) return before;
        return taken ? { ...others, [name]: { value, since: latest.current } } : others;
      });
    });
  };
  return {
    failure: saver.failure,
    choose,
    /** What to show of a setting that is known as `stored`. */
    shown<T>(name: keyof Changes & string, stored: T): T {
      const wish = wishes[name];
      return wish === undefined || ("since" in wish && wish.since !== known) ? stored : (wish.value as T);
    },
  };
}

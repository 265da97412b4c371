import { useLayoutEffect, useRef, useState } from "preact/hooks";

/** A value that is not of one component alone, and that components follow. */
export interface Store<T> {
  get(): T;
  set(value: T): void;
  /** Calls `listener` after every change, until the function that is returned is called. */
  follow(listener: () => void): () => void;
}

export function createStore<T>(initial: T): Store<T> {
  let value = initial;
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(next) {
      if (Object.is(next, value)) return;
      value = next;
      for (const listener of [...listeners]) listener();
    },
    follow(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The value of `store`, now and after every change. */
export function useStore<T>(store: Store<T>): T {
  const [, render] = useState({});
  const shown = store.get();
  const last = useRef(shown);
  last.current = shown;
  useLayoutEffect(() => {
    const look = () => {
      if (!Object.is(last.current, store.get())) render({});
    };
    const stop = store.follow(look);
    // What changed since it was rendered.
    look();
    return stop;
  }, [store]);
  return shown;
}

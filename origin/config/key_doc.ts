/**
 * What the configuration reference says of a key, kept beside its schema (zod's `.meta()`).
 *
 * A key inherits `domain`, `live` and `status` from the section it stands in.
 */
export interface KeyDoc {
  readonly description: string;
  /** The type in plain words, e.g. "bytes". */
  readonly type?: string;
  /** What holds where the key is absent. */
  readonly default?: unknown;
  /** May a per-domain file set it? */
  readonly domain?: boolean;
  /** Does a changed value hold without a restart? */
  readonly live?: boolean;
  /**
   * `later`: read and checked, but the feature behind it is not built yet. `retired`: a key of matrix-media-repo that
   * means nothing here; `description` says what takes its place. Both are answered with one warning at load.
   */
  readonly status?: "later" | "retired";
  /** Values that ask for nothing, so that no warning is due. */
  readonly harmless?: readonly unknown[];
  /** The only values of a list that have an effect, in small letters. Others are answered with a warning that names these. */
  readonly works?: readonly string[];
  /** A number, or a list's length, below which the default holds instead; matrix-media-repo takes such values. */
  readonly least?: number;
}

import { type BuildOptions, build, context, type Plugin, stop } from "esbuild";

/** Bundles the Worker for the local edge, once or at each change. */

/** A Worker's source: a module of this repository, or a text that imports such. */
export interface WorkerSource {
  readonly text: string;
  /** Where its relative imports begin. */
  readonly folder: string;
}

/** Bundles a Worker into one module, as `wrangler deploy` does. Throws the errors of esbuild, with file and line. */
export async function bundleWorker(source: WorkerSource): Promise<string> {
  const { outputFiles } = await build({ ...optionsFor(source), write: false });
  return outputFiles[0]?.text ?? "";
}

/** Ends the process of esbuild, which would otherwise run as long as this one. */
export async function endBundler(): Promise<void> {
  await stop();
}

/** A running watch. */
export interface BundleWatch {
  close(): Promise<void>;
}

/**
 * Bundles it again whenever a source of it, or one of `files`, has changed. `onBundle` hears of each bundle, the first one
 * included; `onBroken` of sources that cannot be bundled.
 */
export async function watchWorker(
  source: WorkerSource,
  files: readonly string[],
  on: { readonly onBundle: (code: string) => void; readonly onBroken: (problems: string[]) => void },
): Promise<BundleWatch> {
  const tell: Plugin = {
    name: "tell",
    setup(plugin) {
      plugin.onLoad({ filter: /.*/ }, () => ({ watchFiles: [...files] }));
      plugin.onEnd(({ errors, outputFiles }) => {
        if (errors.length === 0) return on.onBundle(outputFiles?.[0]?.text ?? "");
        on.onBroken(errors.map(({ text, location }) => `${location?.file ?? "?"}:${location?.line ?? "?"}: ${text}`));
      });
    },
  };
  const watching = await context({ ...optionsFor(source), write: false, plugins: [tell] });
  await watching.watch();
  return { close: () => watching.dispose() };
}

function optionsFor({ text, folder }: WorkerSource): BuildOptions {
  return {
    stdin: { contents: text, resolveDir: folder, sourcefile: "worker.mjs", loader: "js" },
    absWorkingDir: folder,
    bundle: true,
    format: "esm",
    target: "es2024",
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*"],
    define: { "process.env.NODE_ENV": '"production"' },
    keepNames: true,
    logLevel: "silent",
  };
}

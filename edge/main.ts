import { errorAnswer, toResponse } from "../shared/http/respond.ts";
import { MatrixError } from "../shared/matrix/matrix_error.ts";
import { EdgeApp } from "./app.ts";
import { type Env, readConfig } from "./env.ts";

/** One per isolate: its micro-caches are what requests share. */
let app: EdgeApp | undefined;

/** The Worker. */
export default {
  async fetch(request, env, context): Promise<Response> {
    try {
      app ??= new EdgeApp(readConfig(env), { clock: () => Date.now(), makeId: () => crypto.randomUUID() });
    } catch (thrown) {
      // The operator finds what is wrong in the Worker's log; a client can do nothing with it.
      context.waitUntil(Promise.reject(thrown));
      return toResponse(errorAnswer(new MatrixError("M_UNKNOWN", "The edge is not configured", { status: 503 })));
    }
    return await app.fetch(request, (work) => context.waitUntil(work));
  },
} satisfies ExportedHandler<Env>;

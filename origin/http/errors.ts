import type { FastifyReply, FastifyRequest } from "fastify";
import { toMatrixError } from "../../shared/http/failure_answer.ts";
import { errorAnswer } from "../../shared/http/respond.ts";
import { MatrixError } from "../../shared/matrix/matrix_error.ts";
import { LEADS_BACK } from "../matrix/own_questions.ts";
import { toldOf } from "../stores/trouble.ts";
import { writeAnswer } from "./reply/write.ts";

/** The one place of the origin where whatever was thrown becomes what the client sees, and a line of the log. */

/** What the client is told. The cause stays in the log. */
export function matrixErrorOf(thrown: unknown): MatrixError {
  const told = toldOf(thrown);
  if (told) return told;
  const status = frameworkStatus(thrown);
  if (status === undefined) return toMatrixError(thrown);
  return new MatrixError("M_UNKNOWN", "Cannot understand the request", { status, cause: thrown });
}

/** Reports what was thrown and answers with it. Where the answer was begun it is too late to say anything: its connection ends. */
export function answerError(request: FastifyRequest, reply: FastifyReply, thrown: unknown): void {
  const error = matrixErrorOf(thrown);
  report(request, error, reply.raw.headersSent);
  if (reply.raw.headersSent) reply.raw.destroy();
  else writeAnswer(reply, errorAnswer(error));
}

/** What is asked for is no endpoint of ours. */
export function unrecognized(): MatrixError {
  return new MatrixError("M_UNRECOGNIZED", "Unrecognized request", { status: 404 });
}

/** The client's own mistakes that the framework finds (a malformed URL, say) carry a 4xx status. */
function frameworkStatus(thrown: unknown): number | undefined {
  const status = (thrown as { statusCode?: unknown } | null)?.statusCode;
  return typeof status === "number" && status >= 400 && status < 500 ? status : undefined;
}

function report({ context, outcome }: FastifyRequest, error: MatrixError, wasBegun: boolean): void {
  if (!context || context.signal.aborted) return;
  const { errcode, status, message } = error;
  // What leads back to us is said once for all its requests.
  const isSaid = error.mrErrcode === LEADS_BACK;
  if (wasBegun) {
    outcome.cutOff(error);
    const { sentBytes } = outcome;
    context.log.error({ errcode, status, sentBytes, error }, `cut off an answer: ${message}`);
  } else if (status >= 500 && !isSaid) context.log.error({ errcode, status, error }, message);
  else context.log.debug({ errcode, status }, message);
}

/**
 * Tracing that passes `traceparent` on and nothing else, for `node --import ./otel-trace.ts`: an app that a sidecar can associate by
 * trace id alone (`traceId: true`), the weakest way. With baggage, as `otel.ts` has it, nothing needs to be switched on.
 */
import { register } from 'node:module';
import { isSpanContextValid, type TextMapPropagator, trace } from '@opentelemetry/api';
import { registerInstrumentations } from '@opentelemetry/instrumentation';
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http';
import { UndiciInstrumentation } from '@opentelemetry/instrumentation-undici';
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const traceParentOnly: TextMapPropagator = {
  fields: () => ['traceparent'],
  inject(context, carrier, setter) {
    const span = trace.getSpanContext(context);
    if (span === undefined || !isSpanContextValid(span)) return;
    setter.set(carrier, 'traceparent', `00-${span.traceId}-${span.spanId}-0${span.traceFlags & 1}`);
  },
  extract(context, carrier, getter) {
    const [, traceId = '', spanId = '', flags = ''] = String(getter.get(carrier, 'traceparent')).split('-');
    const span = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & 1, isRemote: true };
    return isSpanContextValid(span) ? trace.setSpanContext(context, span) : context;
  },
};

register('@opentelemetry/instrumentation/hook.mjs', import.meta.url);
new NodeTracerProvider().register({ propagator: traceParentOnly });
registerInstrumentations({ instrumentations: [new HttpInstrumentation(), new UndiciInstrumentation()] });

// What operators count: requests, their time, and the process itself. Labels are routes and statuses, and the names of
// HSMs whose backups are watched; never keys, principals or addresses.

import { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

export interface DoorMetrics {
  /** `seconds` from the request's first byte to its answer. */
  observe(room: string, method: string, route: string, status: number, seconds: number): void;
  /** This thread's figures, as data that can cross threads. */
  snapshot(): Promise<unknown>;
}

/** The figures of one worker. */
export function doorMetrics(): DoorMetrics {
  const registry = new Registry();
  const requests = new Counter({
    name: 'strongroom_requests_total',
    help: 'Requests answered',
    labelNames: ['room', 'method', 'route', 'status'] as const,
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'strongroom_request_duration_seconds',
    help: 'Time from a request to its answer',
    labelNames: ['room'] as const,
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [registry],
  });
  return {
    observe: (room, method, route, status, seconds) => {
      requests.inc({ room, method, route, status });
      duration.observe({ room }, seconds);
    },
    snapshot: () => registry.getMetricsAsJSON(),
  };
}

/** A figure of the service as a whole, as it is now. */
export interface Figure {
  readonly name: string;
  readonly help: string;
  readonly kind: 'counter' | 'gauge';
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** The figures of the process and of the service, once, and those of all workers added up: Prometheus text. */
export function processMetrics(
  workers: () => Promise<readonly unknown[]>,
  service: () => readonly Figure[],
): { contentType: string; text(): Promise<string> } {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry, prefix: 'strongroom_' });
  return {
    contentType: registry.contentType,
    text: async () => {
      const summed = AggregatorRegistry.aggregate([...(await workers())] as object[][]);
      return `${await registry.metrics()}\n${await serviceText(service())}\n${await summed.metrics()}`;
    },
  };
}

function serviceText(figures: readonly Figure[]): Promise<string> {
  const registry = new Registry();
  for (const { name, help, kind, labels, value } of figures) {
    const options = { name, help, labelNames: Object.keys(labels), registers: [registry] };
    const known = registry.getSingleMetric(name) ?? (kind === 'counter' ? new Counter(options) : new Gauge(options));
    if (known instanceof Counter) known.inc(labels, value);
    else if (known instanceof Gauge) known.set(labels, value);
  }
  return registry.metrics();
}

// What operators count: requests, their time, and the process itself. Labels are routes and statuses, and the names of
// HSMs whose backups are watched; never keys, principals or addresses.

/** A family of figures as prom-client's JSON has it. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'histogram';
  readonly aggregator: 'sum';
  readonly values: readonly { readonly metricName?: string; readonly labels: Labels; readonly value: number }[];
}

type Labels = Readonly<Record<string, string | number>>;

export interface DoorMetrics {
  /** `seconds` from the request's first byte to its answer. */
  observe(room: string, method: string, route: string, status: number, seconds: number): void;
  /** This thread's figures, so that they can cross threads and be added up. */
  snapshot(): readonly Family[];
}

/** Upper ends, in seconds. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const REQUESTS = 'strongroom_requests_total';
const DURATION = 'strongroom_request_duration_seconds';

interface Counted {
  readonly labels: Labels;
  value: number;
}

interface Timed {
  readonly room: string;
  /** How many took so long and no longer, for each bucket and beyond the last. */
  readonly buckets: number[];
  sum: number;
}

/** The figures of one worker: counted by itself, on the way of every request; prom-client adds them up when somebody asks. */
export function doorMetrics(): DoorMetrics {
  const requests = new Map<string, Counted>();
  const durations = new Map<string, Timed>();

  function counted(room: string, method: string, route: string, status: number): Counted {
    const key = `${room} ${method} ${status} ${route}`;
    const known = requests.get(key) ?? { labels: { room, method, route, status }, value: 0 };
    requests.set(key, known);
    return known;
  }

  function timed(room: string): Timed {
    const known = durations.get(room) ?? { room, buckets: Array.from({ length: BUCKETS.length + 1 }, () => 0), sum: 0 };
    durations.set(room, known);
    return known;
  }

  return {
    observe: (room, method, route, status, seconds) => {
      counted(room, method, route, status).value += 1;
      const time = timed(room);
      const within = BUCKETS.findIndex((end) => seconds <= end);
      const at = within < 0 ? BUCKETS.length : within;
      time.buckets[at] = (time.buckets[at] ?? 0) + 1;
      time.sum += seconds;
    },
    snapshot: () => [
      { name: REQUESTS, help: 'Requests answered', type: 'counter', aggregator: 'sum', values: [...requests.values()] },
      {
        name: DURATION,
        help: 'Time from a request to its answer',
        type: 'histogram',
        aggregator: 'sum',
        values: [...durations.values()].flatMap(histogram),
      },
    ],
  };
}

function histogram({ room, buckets, sum }: Timed): Family['values'] {
  let count = 0;
  const ends = buckets.map((those, at) => {
    count += those;
    return { metricName: `${DURATION}_bucket`, labels: { room, le: BUCKETS[at] ?? '+Inf' }, value: count };
  });
  return [
    ...ends,
    { metricName: `${DURATION}_sum`, labels: { room }, value: sum },
    { metricName: `${DURATION}_count`, labels: { room }, value: count },
  ];
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
  let opened: ReturnType<typeof openCollector> | undefined;
  return {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    text: async () => {
      opened ??= openCollector();
      return (await opened)(await workers(), service());
    },
  };
}

/** Loaded when somebody asks for the first time: most services are never asked. */
async function openCollector() {
  const { AggregatorRegistry, Counter, collectDefaultMetrics, Gauge, Registry } = await import('prom-client');
  const ofProcess = new Registry();
  collectDefaultMetrics({ register: ofProcess, prefix: 'strongroom_' });

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

  return async (workers: readonly unknown[], service: readonly Figure[]): Promise<string> => {
    const summed = AggregatorRegistry.aggregate([...workers] as object[][]);
    return `${await ofProcess.metrics()}\n${await serviceText(service)}\n${await summed.metrics()}`;
  };
}

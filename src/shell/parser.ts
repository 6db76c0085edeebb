// From text to statements. The language is what the documentation of the service's cmdlets is written in: commands, pipelines, variables, expressions,
// `if` and `foreach`. Whatever else PowerShell has is refused by name, at its place, and never read as something else.

import { table } from '../core/table.ts';
import { isDash, isDouble, isSingle, Scanner } from './scanner.ts';
import { parseString, parts } from './strings.ts';
import type { Argument, Command, Expression, ExpressionStage, Redirection, Stage, Statement, StringPart } from './syntax.ts';

/** Deeper nesting than this is no script that anybody wrote. */
const DEEPEST = 100;

/** Parses a whole script. Throws a ShellError of category `syntax`, marked incomplete when more lines could complete it. */
export function parse(source: string): readonly Statement[] {
  return new Parser(new Scanner(source)).script();
}

/** Each row binds tighter than the one above it. */
const OPERATORS: readonly RegExp[] = [
  /[-–—―](?:and|or|xor)\b/iy,
  /[-–—―][ci]?(?:eq|ne|gt|ge|lt|le|like|notlike|match|notmatch|contains|notcontains|in|notin|replace|split|join|is|isnot|as)\b/iy,
  /[-+–—](?![-+\w$"'(@[{])|[-+–—](?=[ \t\d$"'(@])/y,
  /[*/%]/y,
  /[-–—―]f\b/iy,
  /\.\./y,
];

const REFUSED_WORDS = new Set([
  ...[
    'function',
    'filter',
    'class',
    'enum',
    'param',
    'begin',
    'process',
    'end',
    'try',
    'catch',
    'finally',
    'throw',
    'trap',
    'switch',
    'for',
    'while',
    'do',
  ],
  ...['until', 'return', 'break', 'continue', 'using', 'workflow', 'data', 'parallel', 'sequence', 'configuration', 'dynamicparam'],
]);

class Parser {
  readonly #scan: Scanner;
  #depth = 0;

  constructor(scanner: Scanner) {
    this.#scan = scanner;
  }

  script(): readonly Statement[] {
    const body = this.#statements('');
    if (!this.#scan.ended) this.#scan.fail(`'${this.#scan.peek()}' does not belong here`);
    return body;
  }

  /** Statements up to the closing character, which is not taken; the empty one is the end of the text. */
  #statements(closing: string): readonly Statement[] {
    const body: Statement[] = [];
    for (;;) {
      this.#skipSeparators();
      if (this.#scan.ended || (closing !== '' && this.#scan.peek() === closing)) return body;
      if (closing === '' && (this.#scan.peek() === '}' || this.#scan.peek() === ')')) return body;
      body.push(this.#nested(() => this.#statement()));
      this.#scan.skipBlanks();
      const c = this.#scan.peek();
      if (c !== '' && c !== ';' && c !== '\n' && c !== '\r' && c !== closing)
        this.#scan.fail(`unexpected '${c}' behind the end of the statement`);
    }
  }

  #skipSeparators(): void {
    for (;;) {
      this.#scan.skipLines();
      // Prompts come along when people paste from a page or a terminal.
      if (this.#scan.match(/PS (?:[A-Za-z]:\\[^>\n]*|[/~][^>\n]*)?> ?/y) !== undefined || this.#scan.match(/>> ?/y) !== undefined) continue;
      if (this.#scan.match(/;+/y) === undefined) return;
    }
  }

  #nested<Result>(parseIt: () => Result): Result {
    this.#depth += 1;
    if (this.#depth > DEEPEST) this.#scan.fail('this is nested too deeply');
    try {
      return parseIt();
    } finally {
      this.#depth -= 1;
    }
  }

  #statement(): Statement {
    const start = this.#scan.at;
    const [word = ''] = /^[A-Za-z]+(?![\w.:\\/-])/.exec(this.#scan.source.slice(start, start + 20)) ?? [];
    const keyword = word.toLowerCase();
    if (keyword === 'if') return this.#if();
    if (keyword === 'foreach' && /^foreach\s*\(/i.test(this.#scan.source.slice(start, start + 40))) return this.#foreach();
    if (keyword === 'exit') return this.#exit();
    if (REFUSED_WORDS.has(keyword)) {
      this.#scan.fail(`'${word}' is not in this shell's language`, {
        category: 'unsupported',
        hints: ['it has commands, pipelines, variables, if and foreach; a script that needs more runs in PowerShell itself'],
      });
    }
    return this.#assignmentOrPipeline();
  }

  #assignmentOrPipeline(): Statement {
    const start = this.#scan.at;
    if (this.#scan.peek() === '$' || this.#scan.peek() === '[') {
      const target = this.#postfix();
      this.#scan.skipBlanks();
      const operator = this.#scan.take('+=') ? '+=' : this.#scan.peek() === '=' && this.#scan.take('=') ? '=' : undefined;
      if (operator !== undefined) {
        if (target.kind !== 'variable' && target.kind !== 'member' && target.kind !== 'index')
          this.#scan.fail('nothing can be assigned to this', {}, start);
        this.#scan.skipLines();
        if (this.#scan.ended) this.#scan.incomplete('a value is missing behind the assignment', start);
        const value = this.#nested(() => this.#statement());
        return { kind: 'assignment', target, operator, value, start, end: this.#scan.at };
      }
      this.#scan.at = start;
    }
    return this.#pipeline();
  }

  #pipeline(): Statement {
    const start = this.#scan.at;
    const stages: Stage[] = [this.#stage()];
    for (;;) {
      const before = this.#scan.at;
      this.#scan.skipBlanks();
      if (this.#scan.sees('||') || this.#scan.sees('&&'))
        this.#scan.fail(`'${this.#scan.peek()}${this.#scan.peek(1)}' is not in this shell's language`, { category: 'unsupported' });
      if (!this.#scan.take('|')) {
        this.#scan.at = before;
        return { kind: 'pipeline', stages, start, end: before };
      }
      this.#scan.skipLines();
      if (this.#scan.ended) this.#scan.incomplete('a command is missing behind the |', before);
      stages.push(this.#command());
    }
  }

  #stage(): Stage {
    const c = this.#scan.peek();
    const startsExpression =
      c === '$' || c === '(' || c === '@' || c === '[' || c === '{' || isDouble(c) || isSingle(c) || /[0-9!]/.test(c) || isDash(c);
    return startsExpression ? this.#expressionStage() : this.#command();
  }

  #expressionStage(): ExpressionStage {
    const start = this.#scan.at;
    const expression = this.#expression();
    const end = this.#scan.at;
    const redirections = this.#redirections();
    return { kind: 'expression', expression, redirections, start, end: redirections.length === 0 ? end : this.#scan.at };
  }

  #command(): Command {
    const start = this.#scan.at;
    if (this.#scan.take('&')) this.#scan.skipBlanks();
    const name = this.#argumentValue() ?? this.#scan.fail(this.#scan.ended ? 'a command is missing' : `unexpected '${this.#scan.peek()}'`);
    const args: Argument[] = [];
    const redirections: Redirection[] = [];
    let end = this.#scan.at;
    for (;;) {
      this.#scan.skipBlanks();
      const redirection = this.#redirection();
      if (redirection !== undefined) redirections.push(redirection);
      else {
        const argument = this.#argument();
        if (argument === undefined) break;
        args.push(argument);
      }
      end = this.#scan.at;
    }
    this.#scan.at = end;
    return { kind: 'command', name, args, redirections, start, end };
  }

  #redirections(): readonly Redirection[] {
    const found: Redirection[] = [];
    for (;;) {
      const before = this.#scan.at;
      this.#scan.skipBlanks();
      const redirection = this.#redirection();
      if (redirection === undefined) {
        this.#scan.at = before;
        return found;
      }
      found.push(redirection);
    }
  }

  #redirection(): Redirection | undefined {
    const written = this.#scan.match(/[123456*]?>>?(?:&[12])?/y);
    if (written === undefined) return undefined;
    const stream = written.startsWith('2') ? 2 : 1;
    if (written.includes('&') || /^[3456*]/.test(written))
      this.#scan.fail(
        `the redirection ${written} is not in this shell's language`,
        { category: 'unsupported' },
        this.#scan.at - written.length,
      );
    this.#scan.skipBlanks();
    const target = this.#argumentValue() ?? this.#scan.fail('the redirection has no target');
    const nowhere = target.kind === 'variable' && target.name.toLowerCase() === 'null';
    return { stream, append: written.includes('>>'), target: nowhere ? undefined : target };
  }

  #argument(): Argument | undefined {
    const start = this.#scan.at;
    if (this.#scan.peek() === '@' && /[A-Za-z_]/.test(this.#scan.peek(1))) {
      this.#scan.at += 1;
      const name = this.#scan.match(/\w+/y) ?? '';
      return { kind: 'splat', name, start, end: this.#scan.at };
    }
    const parameter = isDash(this.#scan.peek()) ? this.#scan.match(/[-–—―][A-Za-z_][\w?]*(?=[\s:;|)}\]`]|$)/y) : undefined;
    if (parameter === undefined) {
      const value = this.#argumentList();
      return value === undefined ? undefined : { kind: 'value', value, start, end: this.#scan.at };
    }
    let value: Expression | undefined;
    if (this.#scan.peek() === ':') {
      this.#scan.at += 1;
      this.#scan.skipBlanks();
      value = this.#argumentList() ?? this.#scan.fail(`a value is missing behind ${parameter}:`);
    }
    return { kind: 'parameter', name: parameter.slice(1), value, start, end: this.#scan.at };
  }

  /** One value, or several with commas between them. */
  #argumentList(): Expression | undefined {
    const start = this.#scan.at;
    const first = this.#argumentValue();
    if (first === undefined) return undefined;
    const items = [first];
    for (;;) {
      const before = this.#scan.at;
      this.#scan.skipBlanks();
      if (!this.#scan.take(',')) {
        this.#scan.at = before;
        break;
      }
      this.#scan.skipLines();
      if (this.#scan.ended) this.#scan.incomplete('a value is missing behind the comma', before);
      items.push(this.#argumentValue() ?? this.#scan.fail('a value is missing behind the comma'));
    }
    return items.length === 1 ? first : { kind: 'list', items, start, end: this.#scan.at };
  }

  /** A value among a command's words: what begins with a quote, `$`, `(`, `@` or `{` is one; everything else is text up to a blank. */
  #argumentValue(): Expression | undefined {
    const start = this.#scan.at;
    const c = this.#scan.peek();
    if (c === '' || /[\s|;&)}<>,]/.test(c)) return undefined;
    if (c === '(' || c === '{' || (c === '@' && /[({"'“”„‘’]/.test(this.#scan.peek(1)))) return this.#postfix();
    if (isDouble(c) || isSingle(c)) return this.#postfix();
    if (c === '$') {
      const value = this.#postfix();
      if (this.#scan.ended || /[\s|;&(){}<>,]/.test(this.#scan.peek())) return value;
      this.#scan.at = start;
    }
    return this.#word();
  }

  #word(): Expression {
    const start = this.#scan.at;
    const pieces = parts(
      this.#scan,
      () => this.#expansion(),
      () => {
        const c = this.#scan.peek();
        if (c === '' || /[\s|;&(){}<>,]/.test(c)) return 'end';
        if (c === '`' && /[\r\n]/.test(this.#scan.peek(1))) return 'end';
        return isDouble(c) || isSingle(c) ? this.#quotedPart() : undefined;
      },
    );
    const end = this.#scan.at;
    if (end === start) this.#scan.fail(`unexpected '${this.#scan.peek()}'`);
    if (pieces.every((piece) => 'text' in piece))
      return { kind: 'word', text: pieces.map((piece) => ('text' in piece ? piece.text : '')).join(''), start, end };
    return { kind: 'string', parts: pieces, start, end };
  }

  /** `key="two words"` is one word. */
  #quotedPart(): StringPart {
    const value = parseString(this.#scan, () => this.#expansion()) ?? this.#scan.fail('a string was expected');
    return value.kind === 'literal' ? { text: String(value.value) } : { value };
  }

  /** Inside a string or word: a variable or `$( … )`; members and indexes are text there. */
  #expansion(): Expression | undefined {
    const start = this.#scan.at;
    if (this.#scan.peek(1) === '(') return this.#subexpression();
    const name = this.#variableName();
    return name === undefined ? undefined : { kind: 'variable', name, start, end: this.#scan.at };
  }

  /** The name behind a `$`, taken with it: `x`, `env:HOME`, `_`, `?`, `{any name}`. Names of drives other than env are refused. */
  #variableName(): string | undefined {
    const found = this.#scan.match(/\$(?:\{[^}\n]+\}|(?:env|global|script|local):\w+|\w+|\?|\$|\^)/iy);
    if (found === undefined) return undefined;
    const name = found.startsWith('${') ? found.slice(2, -1) : found.slice(1);
    return name.replace(/^(?:global|script|local):/i, '');
  }

  #subexpression(): Expression {
    const start = this.#scan.at;
    this.#scan.at += 2;
    const body = this.#nested(() => this.#statements(')'));
    if (!this.#scan.take(')')) this.#scan.incomplete('$( has no closing )', start);
    return { kind: 'subexpression', body, start, end: this.#scan.at };
  }

  /** Commas bind tighter than the operators: `1, 2 -contains 2` asks a list. */
  #expression(): Expression {
    return this.#operation(0, true);
  }

  #operation(level: number, lists: boolean): Expression {
    const pattern = OPERATORS[level];
    if (pattern === undefined) return lists ? this.#list() : this.#unary();
    let left = this.#nested(() => this.#operation(level + 1, lists));
    for (;;) {
      const before = this.#scan.at;
      this.#scan.skipBlanks();
      const written = this.#scan.match(pattern);
      if (written === undefined) {
        this.#scan.at = before;
        return left;
      }
      this.#scan.skipLines();
      if (this.#scan.ended) this.#scan.incomplete(`a value is missing behind ${written}`, before);
      const right = this.#nested(() => this.#operation(level + 1, lists));
      left = { kind: 'binary', operator: written.replace(/^[–—―]/, '-').toLowerCase(), left, right, start: left.start, end: this.#scan.at };
    }
  }

  #list(): Expression {
    const first = this.#unary();
    const items = [first];
    for (;;) {
      const before = this.#scan.at;
      this.#scan.skipBlanks();
      if (!this.#scan.take(',')) {
        this.#scan.at = before;
        return items.length === 1 ? first : { kind: 'list', items, start: first.start, end: before };
      }
      this.#scan.skipLines();
      if (this.#scan.ended) this.#scan.incomplete('a value is missing behind the comma', before);
      items.push(this.#nested(() => this.#unary()));
    }
  }

  #unary(): Expression {
    const start = this.#scan.at;
    const written = this.#scan.match(/!|[-–—―]not\b|[-–—―]join\b|[-–—―]split\b/iy) ?? this.#scan.match(/[-+–—](?=[\d$(])/y);
    if (written === undefined) return this.#cast();
    this.#scan.skipBlanks();
    const operand = this.#nested(() => this.#unary());
    const operator = written.replace(/^[–—―]/, '-').toLowerCase();
    return { kind: 'unary', operator: operator === '!' ? '-not' : operator, operand, start, end: this.#scan.at };
  }

  #cast(): Expression {
    const start = this.#scan.at;
    const type = this.#scan.match(/\[[A-Za-z][\w.]*(?:\[\])?\]/y);
    if (type === undefined && this.#scan.peek() === '[') this.#scan.fail('a type was expected here, as in [int]');
    if (type === undefined) return this.#postfix();
    const name = type.slice(1, -1);
    if (this.#scan.take('::')) return this.#postfixOf(this.#static(name, start));
    this.#scan.skipBlanks();
    const operand = this.#nested(() => this.#unary());
    return { kind: 'cast', type: name, operand, start, end: this.#scan.at };
  }

  #static(type: string, start: number): Expression {
    const member = this.#scan.match(/\w+(?:\.\w+)*?(?=\(|\W|$)/y) ?? this.#scan.fail('a name is missing behind ::');
    let name = member;
    // [System.Text.Encoding]::UTF8.GetBytes(…)
    if (this.#scan.peek() === '.' && /[A-Za-z]/.test(this.#scan.peek(1))) name += this.#scan.match(/\.\w+/y) ?? '';
    const args = this.#scan.peek() === '(' ? this.#callArguments() : [];
    return { kind: 'static', type, member: name, args, start, end: this.#scan.at };
  }

  #postfix(): Expression {
    if (this.#scan.peek() === '[') return this.#cast();
    return this.#postfixOf(this.#primary());
  }

  #postfixOf(first: Expression): Expression {
    let value = first;
    for (;;) {
      const { start } = first;
      if (this.#scan.peek() === '.' && /[A-Za-z_$"']/.test(this.#scan.peek(1))) {
        this.#scan.at += 1;
        value = this.#memberOf(value, start);
      } else if (this.#scan.peek() === '[' && this.#scan.peek(1) !== '') {
        this.#scan.at += 1;
        this.#scan.skipLines();
        const index = this.#nested(() => this.#expression());
        this.#scan.skipLines();
        if (!this.#scan.take(']')) this.#missing(']', start);
        value = { kind: 'index', target: value, index, start, end: this.#scan.at };
      } else return value;
    }
  }

  #memberOf(target: Expression, start: number): Expression {
    const at = this.#scan.at;
    const word = this.#scan.match(/\w+/y);
    if (word === undefined) {
      const name = this.#primary();
      return { kind: 'member', target, name, start, end: this.#scan.at };
    }
    if (this.#scan.peek() === '(') return { kind: 'call', target, method: word, args: this.#callArguments(), start, end: this.#scan.at };
    return { kind: 'member', target, name: { kind: 'literal', value: word, start: at, end: this.#scan.at }, start, end: this.#scan.at };
  }

  #callArguments(): readonly Expression[] {
    const start = this.#scan.at;
    this.#scan.at += 1;
    const args: Expression[] = [];
    this.#scan.skipLines();
    while (!this.#scan.take(')')) {
      if (this.#scan.ended) this.#scan.incomplete('( has no closing )', start);
      args.push(this.#nested(() => this.#operation(0, false)));
      this.#scan.skipLines();
      if (this.#scan.take(',')) this.#scan.skipLines();
      else if (this.#scan.peek() !== ')') this.#missing(')', start);
    }
    return args;
  }

  #missing(closing: string, start: number): never {
    if (this.#scan.ended) this.#scan.incomplete(`a closing ${closing} is missing`, start);
    this.#scan.fail(`a closing ${closing} was expected here, not '${this.#scan.peek()}'`);
  }

  #primary(): Expression {
    const start = this.#scan.at;
    const text = parseString(this.#scan, () => this.#expansion());
    if (text !== undefined) return text;
    const c = this.#scan.peek();
    if (c === '$') return this.#variable();
    if (c === '(') return this.#group();
    if (c === '{') return this.#block();
    if (c === '@' && this.#scan.peek(1) === '(') return this.#array();
    if (c === '@' && this.#scan.peek(1) === '{') return this.#hashtable();
    const number = this.#scan.match(/0x[0-9a-f]+\b|\d+(?:\.\d+)?(?:kb|mb|gb)?(?![\w])/iy);
    if (number !== undefined) return { kind: 'literal', value: numberOf(number), start, end: this.#scan.at };
    if (this.#scan.ended) this.#scan.incomplete('a value is missing', start);
    this.#scan.fail(`a value was expected here, not '${c}'`);
  }

  #variable(): Expression {
    const start = this.#scan.at;
    if (this.#scan.peek(1) === '(') return this.#subexpression();
    const name = this.#variableName() ?? this.#scan.fail('a name is missing behind $');
    return { kind: 'variable', name, start, end: this.#scan.at };
  }

  #group(): Expression {
    const start = this.#scan.at;
    this.#scan.at += 1;
    this.#scan.skipLines();
    if (this.#scan.ended) this.#scan.incomplete('( has no closing )', start);
    const statement = this.#nested(() => this.#statement());
    this.#scan.skipLines();
    if (!this.#scan.take(')')) this.#missing(')', start);
    return { kind: 'group', statement, start, end: this.#scan.at };
  }

  #array(): Expression {
    const start = this.#scan.at;
    this.#scan.at += 2;
    const body = this.#nested(() => this.#statements(')'));
    if (!this.#scan.take(')')) this.#missing(')', start);
    return { kind: 'array', body, start, end: this.#scan.at };
  }

  #block(): Expression {
    const start = this.#scan.at;
    const body = this.#body();
    return { kind: 'block', source: this.#scan.source.slice(start + 1, this.#scan.at - 1), body, start, end: this.#scan.at };
  }

  #body(): readonly Statement[] {
    const start = this.#scan.at;
    if (!this.#scan.take('{')) this.#missing('{', start);
    const body = this.#nested(() => this.#statements('}'));
    if (!this.#scan.take('}')) this.#missing('}', start);
    return body;
  }

  #hashtable(): Expression {
    const start = this.#scan.at;
    this.#scan.at += 2;
    const entries: (readonly [Expression, Statement])[] = [];
    for (;;) {
      this.#skipSeparators();
      if (this.#scan.take('}')) return { kind: 'hashtable', entries, start, end: this.#scan.at };
      if (this.#scan.ended) this.#scan.incomplete('@{ has no closing }', start);
      const key = this.#hashtableKey();
      this.#scan.skipBlanks();
      if (!this.#scan.take('=')) this.#missing('=', start);
      this.#scan.skipLines();
      if (this.#scan.ended) this.#scan.incomplete('a value is missing behind the =', start);
      entries.push([key, this.#nested(() => this.#statement())]);
      this.#scan.skipBlanks();
      const c = this.#scan.peek();
      if (c !== '' && !/[;\r\n}]/.test(c)) this.#scan.fail(`a ; or the end of the line was expected here, not '${c}'`);
    }
  }

  #hashtableKey(): Expression {
    const start = this.#scan.at;
    const word = this.#scan.match(/[\w.-]+/y);
    return word === undefined ? this.#primary() : { kind: 'literal', value: word, start, end: this.#scan.at };
  }

  #if(): Statement {
    const start = this.#scan.at;
    this.#scan.at += 2;
    const branches = [this.#branch(start)];
    for (;;) {
      const before = this.#scan.at;
      this.#scan.skipLines();
      if (this.#scan.match(/elseif\b/iy) !== undefined) branches.push(this.#branch(start));
      else if (this.#scan.match(/else\b/iy) !== undefined) {
        this.#scan.skipLines();
        const otherwise = this.#body();
        return { kind: 'if', branches, otherwise, start, end: this.#scan.at };
      } else {
        this.#scan.at = before;
        return { kind: 'if', branches, otherwise: [], start, end: before };
      }
    }
  }

  #branch(start: number): readonly [Statement, readonly Statement[]] {
    this.#scan.skipLines();
    if (!this.#scan.take('(')) this.#missing('(', start);
    this.#scan.skipLines();
    const condition = this.#nested(() => this.#statement());
    this.#scan.skipLines();
    if (!this.#scan.take(')')) this.#missing(')', start);
    this.#scan.skipLines();
    return [condition, this.#body()];
  }

  #foreach(): Statement {
    const start = this.#scan.at;
    this.#scan.at += 'foreach'.length;
    this.#scan.skipBlanks();
    this.#scan.take('(');
    this.#scan.skipLines();
    const name = this.#variableName() ?? this.#scan.fail('foreach needs a variable: foreach ($item in $items) { … }');
    this.#scan.skipBlanks();
    if (this.#scan.match(/in\b/iy) === undefined) this.#missing('in', start);
    this.#scan.skipLines();
    const items = this.#nested(() => this.#statement());
    this.#scan.skipLines();
    if (!this.#scan.take(')')) this.#missing(')', start);
    this.#scan.skipLines();
    return { kind: 'foreach', name, items, body: this.#body(), start, end: this.#scan.at };
  }

  #exit(): Statement {
    const start = this.#scan.at;
    this.#scan.at += 'exit'.length;
    const end = this.#scan.at;
    this.#scan.skipBlanks();
    if (this.#scan.ended || /[;\r\n})]/.test(this.#scan.peek())) {
      this.#scan.at = end;
      return { kind: 'exit', status: undefined, start, end };
    }
    return { kind: 'exit', status: this.#expression(), start, end: this.#scan.at };
  }
}

const UNITS: Readonly<Record<string, number>> = table({ kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 });

function numberOf(text: string): number {
  const unit = UNITS[text.slice(-2).toLowerCase()];
  return unit === undefined ? Number(text) : Number(text.slice(0, -2)) * unit;
}

// What a script is made of, after parsing. `start` and `end` are offsets into the source, for excerpts and for showing a statement as it was typed.

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A piece of a string in double quotes, or of a bare word. */
export type StringPart = { readonly text: string } | { readonly value: Expression };

export type Expression = Span &
  (
    | { readonly kind: 'literal'; readonly value: unknown }
    /** A word without quotes: text, but a number or a parameter could have been meant. */
    | { readonly kind: 'word'; readonly text: string }
    | { readonly kind: 'string'; readonly parts: readonly StringPart[] }
    | { readonly kind: 'variable'; readonly name: string }
    | { readonly kind: 'list'; readonly items: readonly Expression[] }
    | { readonly kind: 'array'; readonly body: readonly Statement[] }
    | { readonly kind: 'hashtable'; readonly entries: readonly (readonly [Expression, Statement])[] }
    | { readonly kind: 'group'; readonly statement: Statement }
    | { readonly kind: 'subexpression'; readonly body: readonly Statement[] }
    | { readonly kind: 'block'; readonly source: string; readonly body: readonly Statement[] }
    | { readonly kind: 'member'; readonly target: Expression; readonly name: Expression }
    | { readonly kind: 'index'; readonly target: Expression; readonly index: Expression }
    | { readonly kind: 'call'; readonly target: Expression; readonly method: string; readonly args: readonly Expression[] }
    | { readonly kind: 'unary'; readonly operator: string; readonly operand: Expression }
    | { readonly kind: 'binary'; readonly operator: string; readonly left: Expression; readonly right: Expression }
    | { readonly kind: 'cast'; readonly type: string; readonly operand: Expression }
    | { readonly kind: 'static'; readonly type: string; readonly member: string; readonly args: readonly Expression[] }
  );

export type Argument = Span &
  (
    | { readonly kind: 'parameter'; readonly name: string; readonly value: Expression | undefined }
    | { readonly kind: 'value'; readonly value: Expression }
    | { readonly kind: 'splat'; readonly name: string }
  );

export interface Command extends Span {
  readonly kind: 'command';
  readonly name: Expression;
  readonly args: readonly Argument[];
  readonly redirections: readonly Redirection[];
}

export interface ExpressionStage extends Span {
  readonly kind: 'expression';
  readonly expression: Expression;
  readonly redirections: readonly Redirection[];
}

export interface Redirection {
  readonly stream: 1 | 2;
  readonly append: boolean;
  /** undefined: into nothing. */
  readonly target: Expression | undefined;
}

export type Stage = Command | ExpressionStage;

export type Statement = Span &
  (
    | { readonly kind: 'pipeline'; readonly stages: readonly Stage[] }
    | { readonly kind: 'assignment'; readonly target: Expression; readonly operator: '=' | '+='; readonly value: Statement }
    | {
        readonly kind: 'if';
        readonly branches: readonly (readonly [Statement, readonly Statement[]])[];
        readonly otherwise: readonly Statement[];
      }
    | { readonly kind: 'foreach'; readonly name: string; readonly items: Statement; readonly body: readonly Statement[] }
    | { readonly kind: 'exit'; readonly status: Expression | undefined }
  );

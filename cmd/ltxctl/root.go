package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/internal/nearest"
)

// cli is one run of the command: the world, and the flags that every command has.
type cli struct {
	*system
	json    bool
	color   string
	verbose bool

	replica string // the URL that the arguments or the environment name; empty until they were read
}

// run runs the command line and returns the exit code.
func run(ctx context.Context, s *system, args []string) int {
	c := &cli{system: s}
	root := c.command()
	root.SetArgs(append([]string{}, args...)) // never nil, for which cobra would take those of the process
	return c.report(root.ExecuteContext(ctx))
}

func (c *cli) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "ltxctl",
		Short: "Look into Litestream replicas where they lie, and keep them well",
		Long: `ltxctl opens SQLite databases that Litestream replicates, where they lie in
object storage: it lists a replica's files, draws its history, and runs SQL on
any moment of it, without restoring anything. And it keeps replicas small,
sound and restorable: it compacts, verifies, restores and repairs them.

A replica is its URL, s3://bucket/path, file:///directory or
https://host/path. Left out, it is that of LITESTREAM_REPLICA_URL. "ltxctl
help replica-url" tells more; "ltxctl demo" shows everything without a bucket.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          unknownCommand,
	}
	root.SetIn(c.stdin)
	root.SetOut(c.stdout)
	root.SetErr(c.stderr)
	root.SetFlagErrorFunc(flagError)
	flags := root.PersistentFlags()
	flags.BoolVar(&c.json, "json", false, "write JSON")
	flags.StringVar(&c.color, "color", "auto", "use colours: auto, always, never; auto respects NO_COLOR")
	flags.BoolVarP(&c.verbose, "verbose", "v", false, "log what happens to standard error")
	flags.SortFlags = false
	completes(root, "color", "auto", "always", "never")
	root.SetHelpCommand(helpCommand())
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return c.checkColor() }
	root.AddCommand(
		c.listCommand(), c.infoCommand(), c.statusCommand(), c.queryCommand(), c.shellCommand(), c.historyCommand(), c.diffCommand(),
		c.restoreCommand(), c.verifyCommand(), c.pushCommand(), c.compactCommand(), c.snapshotCommand(), c.indexCommand(), c.repairCommand(),
		c.doctorCommand(), c.leaseCommand(), c.demoCommand(), c.versionCommand(), c.manualCommand(),
		topic("exit-codes", "What the exit codes mean", exitCodesHelp),
		topic("replica-url", "How a replica is named, and which settings there are", replicaURLHelp),
	)
	return root
}

// completes tells shells the values of a flag.
func completes(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// helpCommand is cobra's, but that what it does not know is an error.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Help about any command",
		Long:  "Help shows what a command does, its flags and examples; or one of the topics\nat the end of \"ltxctl help\".",
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			var names []cobra.Completion
			if found, _, err := cmd.Root().Find(args); err == nil {
				for _, sub := range found.Commands() {
					if !sub.Hidden {
						names = append(names, cobra.CompletionWithDesc(sub.Name(), sub.Short))
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			found, rest, err := cmd.Root().Find(args)
			switch {
			case err != nil:
				return &usageError{err}
			case len(rest) > 0:
				return unknownCommand(found, rest)
			}
			found.InitDefaultHelpFlag() // so that it is among the flags
			return found.Help()
		},
	}
}

func topic(name, short, text string) *cobra.Command {
	return &cobra.Command{Use: name, Short: short, Long: strings.TrimSpace(text)}
}

// unknownCommand is what the root runs: nothing is asked, or something that is no command.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	if strings.Contains(args[0], "://") {
		return usagef("a command comes before the replica: ltxctl info %s", displayURL(args[0]))
	}
	return usagef("unknown command %q%s", args[0], nearest.Hint(args[0], names))
}

// flagError makes an error about a flag one of usage, with the nearest flag there is.
func flagError(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || unknown.GetSpecifiedShortnames() != "" {
		return &usageError{fmt.Errorf("%w; see ltxctl %s --help", err, cmd.Name())}
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return usagef("unknown flag --%s%s", unknown.GetSpecifiedName(), nearest.Hint("--"+unknown.GetSpecifiedName(), names))
}

func (c *cli) checkColor() error {
	words := []string{"auto", "always", "never"}
	for _, word := range words {
		if c.color == word {
			return nil
		}
	}
	return usagef("--color=%q%s", c.color, nearest.Hint(c.color, words))
}

// screen describes a stream.
func (c *cli) screen(stream io.Writer) render.Screen {
	width, terminal := c.terminal(stream)
	plain := c.getenv("NO_COLOR") != "" || c.getenv("TERM") == "dumb"
	return render.Screen{
		Terminal: terminal, Width: width, Now: c.now(),
		Color: c.color == "always" || c.color == "auto" && terminal && !plain,
	}
}

// logger is where --verbose logs to, or nil.
func (c *cli) logger() *slog.Logger {
	if !c.verbose {
		return nil
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// eventLogger is where commands that run on tell what happens: to standard error, also without --verbose.
func (c *cli) eventLogger() *slog.Logger {
	if log := c.logger(); log != nil {
		return log
	}
	return slog.New(slog.NewTextHandler(c.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// writeJSONLine writes a value for programs that read one a line, as it comes.
func (c *cli) writeJSONLine(value any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

// writeJSON writes a value for programs.
func (c *cli) writeJSON(value any) error {
	enc := json.NewEncoder(c.stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(value)
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/localdb"
	"github.com/litefs-s3/litefs-s3/cmd/ltxctl/internal/render"
	"github.com/litefs-s3/litefs-s3/index"
	"github.com/litefs-s3/litefs-s3/objstore"
	"github.com/litefs-s3/litefs-s3/verify"
)

// verifyOptions are the flags of verify.
type verifyOptions struct {
	deep         bool
	times, txids []string
	sample       time.Duration
	tempDir      string
}

func (c *cli) verifyCommand() *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify [REPLICA]",
		Short: "Find out whether a replica is good, file by file or by building the database",
		Long: `Verify reads every file of a replica from its first byte to its last, checks it
against its name, index and checksum, and the files with each other. --deep also
builds the database, at the newest state or at each --time and --txid, and runs
PRAGMA integrity_check on it. --sample checks files in random order until the
time is over: every night a part, in the end all of them.

There are three outcomes, told apart by the exit code: good (0), bad (4), and
could not tell (7), because the store did not answer, or time was up before
anything was seen.`,
		Example: `  ltxctl verify s3://bucket/app
  ltxctl verify s3://bucket/app --deep --time "1 hour ago" --time yesterday
  ltxctl verify s3://bucket/app --sample 10m --json || mail -s "replica" ops`,
		RunE: func(cmd *cobra.Command, args []string) error {
			url, _, err := c.replicaArg(args, 0)
			if err != nil {
				return err
			}
			moments, err := c.verifyMoments(o)
			if err != nil {
				return err
			}
			ctx, stop := c.interruptible(cmd.Context())
			defer stop()
			return c.verify(ctx, url, o, moments)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.deep, "deep", false, "also build the database and run PRAGMA integrity_check")
	f.StringArrayVarP(&o.times, "time", "t", nil, "with --deep: build it at this time instead of the newest state (repeatable)")
	f.StringArrayVar(&o.txids, "txid", nil, "with --deep: build it at this transaction (repeatable)")
	f.Var(span{d: &o.sample}, "sample", "check files in random order for so long, like 10m, instead of all")
	f.StringVar(&o.tempDir, "temp-dir", "", "where --deep builds the database (default: the system's)")
	return cmd
}

// verifyMoments checks the flags and reads those of moments. Without any it is the newest state.
func (c *cli) verifyMoments(o verifyOptions) (moments []moment, err error) {
	switch {
	case !o.deep && len(o.times)+len(o.txids) > 0:
		return nil, usagef("--time and --txid choose what --deep builds; without --deep all files of all moments are checked anyway")
	case !o.deep && o.tempDir != "":
		return nil, usagef("--temp-dir is for --deep, which alone builds a file")
	case !o.deep:
		return nil, nil
	}
	asked := make([]sessionOptions, 0, len(o.times)+len(o.txids)+1)
	for _, text := range o.times {
		asked = append(asked, sessionOptions{time: text})
	}
	for _, text := range o.txids {
		asked = append(asked, sessionOptions{txid: text})
	}
	if len(asked) == 0 {
		asked = append(asked, sessionOptions{})
	}
	for _, a := range asked {
		m, err := c.moment(a)
		if err != nil {
			return nil, err
		}
		moments = append(moments, m)
	}
	return moments, nil
}

// verified is the report of verify.
type verified struct {
	Replica string `json:"replica"`
	*verify.Report
	Deep    []deepCheck `json:"deep,omitempty"`
	Seconds float64     `json:"seconds"` // of everything
}

// deepCheck is one database that was built.
type deepCheck struct {
	Asked     string     `json:"asked"`
	TXID      index.TXID `json:"txid,omitempty"`
	Time      *time.Time `json:"time,omitempty"`
	Bytes     int64      `json:"bytes,omitempty"`
	Integrity string     `json:"integrity_check,omitempty"` // "ok", or what is wrong
	Error     string     `json:"error,omitempty"`           // why it could not be built or checked
	Seconds   float64    `json:"seconds"`
}

func (c *cli) verify(ctx context.Context, url string, o verifyOptions, moments []moment) error {
	start := time.Now()
	store, _, err := c.open(ctx, url)
	if err != nil {
		return err
	}
	if err := c.heldMoments(ctx, url, moments); err != nil {
		return err
	}
	meter := c.meter()
	defer meter.Stop()
	out := verified{Replica: displayURL(url)}
	out.Report = verify.Run(ctx, store, verify.Options{Budget: o.sample, OnProgress: func(p verify.Progress) {
		meter.Tell("checking files", p.Bytes, p.TotalBytes, render.OfBytes)
	}})
	if err := elsewhere(out.Report); err != nil {
		return err
	}
	if len(moments) > 0 && ctx.Err() == nil {
		if err := c.deep(ctx, url, o, moments, &out, meter); err != nil {
			return interruptedIn(ctx, err, "")
		}
	}
	meter.Stop()
	if err := ctx.Err(); err != nil {
		return &goOn{err, "nothing was changed; --sample checks a part in a time that is known before"}
	}
	out.Seconds = time.Since(start).Seconds()
	return c.writeVerified(out)
}

// heldMoments returns an error when the replica does not hold one of the moments: better now than when all files have been read. What
// else may be wrong is for the verdict.
func (c *cli) heldMoments(ctx context.Context, url string, moments []moment) error {
	if !slices.ContainsFunc(moments, func(m moment) bool { return !m.latest() }) {
		return nil
	}
	for _, m := range moments {
		if _, _, err := c.openReplicaAt(ctx, url, m); isNoMoment(err) {
			return err
		}
	}
	return nil
}

// elsewhere returns the error that says that there is no replica at all: a mistake in the URL, and no verdict.
func elsewhere(r *verify.Report) error {
	for _, p := range r.Problems {
		if errors.Is(p.Err, index.ErrNoReplica) || errors.Is(p.Err, objstore.ErrNoBucket) {
			return p.Err
		}
	}
	return nil
}

// deep builds the database at each moment and checks it. What goes wrong is part of the report; an error is a moment that the replica
// does not hold.
func (c *cli) deep(ctx context.Context, url string, o verifyOptions, moments []moment, out *verified, meter *render.Meter) error {
	for _, m := range moments {
		check, txid, err := c.deepAt(ctx, url, m, o.tempDir, meter)
		if isNoMoment(err) {
			return err
		}
		out.Deep = append(out.Deep, check)
		out.Judge(txid, check.Integrity, err)
		if ctx.Err() != nil {
			return nil
		}
	}
	return nil
}

func isNoMoment(err error) bool {
	code, _ := classify(err)
	return err != nil && code == exitNotFound && !goneMeanwhile(err)
}

// deepAt builds the database at a moment, and has SQLite look at it.
func (c *cli) deepAt(ctx context.Context, url string, m moment, dir string, meter *render.Meter) (check deepCheck, txid index.TXID, err error) {
	check = deepCheck{Asked: m.String()}
	defer func() {
		if err != nil {
			check.Error = err.Error()
		}
	}()
	r, v, err := c.openReplicaAt(ctx, url, m)
	if err != nil {
		return check, m.txid, err
	}
	at := v.Time.UTC()
	check.TXID, check.Time = v.TXID, &at
	start := time.Now()
	image, err := verify.Deep(ctx, r.source(), v, dir, copying(meter, "building "+v.TXID.String()))
	if err != nil {
		return check, v.TXID, err
	}
	defer func() { err = errors.Join(err, image.Remove()) }()
	check.Bytes = image.Bytes
	check.Integrity, err = localdb.Check(ctx, image.Path)
	check.Seconds = time.Since(start).Seconds()
	return check, v.TXID, err
}

// exits are the exit codes of the outcomes.
var exits = map[verify.Outcome]int{verify.Good: exitOK, verify.Bad: exitDamaged, verify.Unknown: exitUnknown}

func (c *cli) writeVerified(v verified) error {
	var err error
	if c.json {
		err = c.writeJSON(v)
	} else {
		_, err = io.WriteString(c.stdout, v.text(c.screen(c.stdout), c.complete(v.next())))
	}
	if code := exits[v.Outcome]; err == nil && code != exitOK {
		return &reported{code}
	}
	return err
}

// text is the report for people, next what they should do about it.
func (v *verified) text(screen render.Screen, next string) string {
	var b strings.Builder
	paint := map[verify.Outcome]render.Paint{verify.Good: render.Good, verify.Bad: render.Bad, verify.Unknown: render.Warning}
	fmt.Fprintf(&b, "%s  %s\n", screen.Paint(paint[v.Outcome], string(v.Outcome)), v.Replica)
	fact := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "  %s %s\n", screen.Paint(render.Dim, fmt.Sprintf("%-8s", name)), fmt.Sprintf(format, args...))
	}
	seen := fmt.Sprintf("%d of %s", v.Checked, render.Count(v.Files, "file"))
	if v.Partly > 0 {
		seen += fmt.Sprintf(" and a part of %d more", v.Partly)
	}
	fact("checked", "%s, %s in %s, %s", seen, render.Bytes(v.Read), render.Count(v.Pages, "page"), render.Duration(v.Took))
	if v.Sample && v.Checked < v.Files {
		fact("sample", "the rest was not looked at: run it often, or without --sample")
	}
	if v.Head > 0 {
		fact("newest", "txid %s; %s can be opened", shortTXID(v.Head, txidDigits(v.Head)), render.Count(v.Moments, "moment"))
	}
	for _, d := range v.Deep {
		fact("deep", "%s", d.sentence())
	}
	for _, p := range v.Problems {
		fmt.Fprintf(&b, "%s\n", screen.Wrap(screen.Paint(paint[p.Outcome], string(p.Outcome))+": "+render.Printable(p.Text), "  "))
	}
	for _, n := range v.Notes {
		fmt.Fprintf(&b, "%s\n", screen.Wrap("note: "+n, "  "))
	}
	if next != "" {
		fmt.Fprintf(&b, "%s\n", screen.Wrap("→ "+next, "  "))
	}
	return b.String()
}

func (d *deepCheck) sentence() string {
	switch {
	case d.TXID == 0:
		return d.Asked + ": not built, see below"
	case d.Error != "":
		return fmt.Sprintf("txid %s of %s: not checked, see below", shortTXID(d.TXID, txidDigits(d.TXID)), render.Millis(*d.Time))
	}
	verdict := d.Integrity
	if verdict != "ok" {
		verdict = "does not pass, see below"
	}
	return fmt.Sprintf("txid %s of %s, %s: integrity_check %s, %s", shortTXID(d.TXID, txidDigits(d.TXID)), render.Millis(*d.Time),
		render.Bytes(d.Bytes), verdict, render.Duration(time.Duration(d.Seconds*float64(time.Second))))
}

// next says what to do about an outcome.
func (v *verified) next() string {
	switch v.Outcome {
	case verify.Bad:
		for _, p := range v.Problems {
			if errors.Is(p.Err, index.ErrGap) {
				return `"ltxctl repair REPLICA" shows how the gap can be closed`
			}
		}
		return `"ltxctl snapshot REPLICA", or one by the writer, makes newer states whole again if they can be read; ` +
			`"ltxctl restore REPLICA FILE --time …" gets an earlier one`
	case verify.Unknown:
		return `"ltxctl doctor REPLICA" finds out why the store does not answer; then run this again`
	}
	return ""
}

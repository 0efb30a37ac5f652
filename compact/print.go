package compact

import (
	"fmt"
	"strings"
)

// String is the plan as a person reads it: what will be made of what, what will go, and what that costs.
func (p *Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d files, %s; newest transaction that can be opened: %s\n", p.Files, bytesText(p.Bytes), p.Head)
	if p.Gap != nil {
		fmt.Fprintf(&b, "GAP: transactions %s to %s are in no file; what lies below can be opened, and repair publishes a whole state above\n",
			p.Gap.First, p.Gap.Last)
	}
	for _, problem := range p.Problems {
		fmt.Fprintf(&b, "PROBLEM: %s\n", problem)
	}
	if p.Deferred != "" {
		fmt.Fprintf(&b, "deferred: %s\n", p.Deferred)
		return b.String()
	}
	for i := range p.Steps {
		s := &p.Steps[i]
		f := s.file()
		fmt.Fprintf(&b, "make   %s from %d files, up to %s, as of %s\n", &f, len(s.Inputs), bytesText(s.Bytes), s.Time.Format("2006-01-02 15:04:05.000"))
	}
	for i := range p.Delete {
		d := &p.Delete[i]
		fmt.Fprintf(&b, "remove %s, %s, for %s\n", d.name(), bytesText(d.Bytes), d.By)
	}
	if p.Idle() {
		b.WriteString("nothing to do\n")
		return b.String()
	}
	fmt.Fprintf(&b, "about %d requests ($%.4f), %s to read, %s to write, %s freed\n",
		p.Cost.Gets+p.Cost.Puts+p.Cost.Lists+p.Cost.Deletes, p.Cost.USD, bytesText(p.Cost.BytesRead), bytesText(p.Cost.BytesWritten), bytesText(freed(p.Delete)))
	return b.String()
}

// bytesText is a size with three digits or so.
func bytesText(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	v, prefix := float64(n), ""
	for _, p := range []string{"k", "M", "G", "T", "P"} {
		if v < unit {
			break
		}
		v, prefix = v/unit, p
	}
	return fmt.Sprintf("%.3g %sB", v, prefix)
}

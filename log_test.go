package litefss3_test

import "log/slog"

// logTo returns a logger that hands each line to fn.
func logTo(fn func(line string)) *slog.Logger {
	return slog.New(slog.NewTextHandler(lineWriter(fn), nil))
}

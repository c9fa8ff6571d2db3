package engine

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"

	"github.com/dsrun/dsrun/engine/event"
	"github.com/dsrun/dsrun/engine/store"
)

// planned keeps the events of a dry run in their order: the first in memory, the rest in a private file, so that a dry run
// needs no more memory than the run itself.
type planned struct {
	first []PlannedEvent
	n     int
	file  store.SpillFile
	w     *bufio.Writer
	size  int64
	err   error // the first that kept an event from being kept
}

// firstEvents is how many events a plan holds in memory.
const firstEvents = 1000

// plannedJSON is one line of the file.
type plannedJSON struct {
	Topic       string          `json:"topic"`
	OrderingKey string          `json:"ordering_key,omitempty"`
	Event       json.RawMessage `json:"event"`
}

func (p *planned) add(e PlannedEvent, spill func() (store.SpillFile, error)) {
	p.n++
	if len(p.first) < firstEvents || spill == nil {
		p.first = append(p.first, e)
		return
	}
	if p.err != nil {
		return
	}
	p.err = func() (err error) {
		if p.file == nil {
			if p.file, err = spill(); err != nil {
				return err
			}
			p.w = bufio.NewWriterSize(p.file, 64<<10)
		}
		text, err := event.Encode(e.Message)
		if err != nil {
			return err
		}
		line, err := json.Marshal(plannedJSON{e.Topic, e.OrderingKey, text})
		if err != nil {
			return err
		}
		n, err := p.w.Write(append(line, '\n'))
		p.size += int64(n)
		return err
	}()
}

// end makes the file readable.
func (p *planned) end() error {
	if p.w != nil && p.err == nil {
		p.err = p.w.Flush()
	}
	p.w = nil
	return p.err
}

// each hands out the events after the first ones.
func (p *planned) each(fn func(PlannedEvent) error) error {
	if p.file == nil {
		return nil
	}
	r := bufio.NewReaderSize(io.NewSectionReader(p.file, 0, p.size), 64<<10)
	for {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var in plannedJSON
		if err := json.Unmarshal(line, &in); err != nil {
			return err
		}
		m, err := event.Decode(in.Event)
		if err != nil {
			return err
		}
		m.OrderingKey = in.OrderingKey
		if err := fn(PlannedEvent{Topic: in.Topic, Message: m}); err != nil {
			return err
		}
	}
}

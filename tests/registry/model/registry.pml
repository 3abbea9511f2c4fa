/* Append, checkpoint and release of a Lockstep registry, for the model checker Spin 6.

   What it follows: include/lockstep/registry/log.py and checkpoint.py, and the gate's place in release/release.py.
   Several writers do jobs (train, promote, release) on one log, all at once; each looks at the state, proposes, and
   puts entry n+1 if that number is free. A put may stand although its answer is lost, may be repeated by the client
   and meet itself, or may stay in the air and arrive long after its writer gave up. A writer may be killed between
   any two of its requests; it starts again with an empty memory and does the same job once more. Whoever wrote an
   EVERY-th entry writes a checkpoint of all that stands by then, and deletes the older ones. Somebody deletes
   checkpoints, damages them, or lays down one of another registry. A reader starts at any moment, from any checkpoint
   that it may trust or from none, and reads forward.

   What holds in every state that can be reached (the numbers stand beside the assertions):
    1  each number is written once, has no gap before it, and never changes
    2  whoever reads up to entry n has the state of the whole log up to n, from a checkpoint or not
    3  a release is written only where the gate holds on the state just before it, with the versions that stand in
       staging there; a job releases once, also when it is tried again
    4  an append stands once, whatever was lost on the way
    5  who says "done" has an entry that stands, and it stands for ever (claim told_once_stands)
    6  who says "refused" or "nothing to do" has written nothing with this append
    7  without faults every writer finishes, however the others get in its way (claim everybody_finishes)

   What it leaves out: bytes, and hashes that collide (an entry's nonce stands for its hash); damaged or missing entries
   of the log itself, and the look at its end before each write; packs of entries; objects' files, their verification
   and retention; clocks; rollback and thresholds (a promotion moves one of two models, the gate asks that both fit);
   several groups; threads that share one Log; a store that ignores the condition of a put, or forgets what it has
   acknowledged (a disk that lies about fsync); a put that arrives more than once; reads that fail or are killed, but
   for the read-back of a put; more than WRITERS writers, JOBS jobs of each, FAULTS faults in all and HARM changes to
   checkpoints. Reading several entries is one step for a writer: they can't change under it (1), and what comes behind
   them meets it at its put. Two places are harsher than the program: a reader takes any checkpoint that it may trust,
   not the newest, and no older checkpoint is left.

   Break a rule with -D, and Spin finds how it goes wrong: OVERWRITE, NO_LOOK, NO_RECHECK, BLIND_RETRY, TRUSTED_LOSS,
   NO_JOB, STALE_CHECKPOINT, UNCHECKED_CHECKPOINT. With WITNESS=n the model claims that something never happens that it
   should be able to do, and Spin shows that it does. With READER a reader reads beside the writers, with WATCH one
   entry that was called done is watched, with ONLY_CLAIMS the assertions are left out. test_model.py runs them all. */

#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef JOBS
#define JOBS 2
#endif
#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef HARM
#define HARM 1
#endif
#ifndef WITNESS
#define WITNESS 0
#endif

#define EVERY 2                                  /* entries from one checkpoint to the next */
#define TRIES (FAULTS + 1)                       /* attempts at one job: all but the last end by a fault */
#define MOST (WRITERS * JOBS + FAULTS)           /* entries: at most one for each attempt */
#define NONCE (1 + (me * JOBS + job) * TRIES + attempt)
#define JOB_OF(nonce) ((nonce - 1) / TRIES)
#define FREE 0                                   /* the nonce of a number that is not written */
#define FOREIGN 255                              /* the hash of an entry of another registry */
#ifdef ONLY_CLAIMS
#define must(what) skip
#else
#define must(what) assert(what)
#endif
#define never_happens(what, number) must(WITNESS != number || !(what))

mtype = { train, promote_a, promote_b, release, won, taken, lost };

typedef Entry { mtype kind; byte version, nonce }
typedef Facts {
    byte head, head_hash;                        /* the last entry folded in, and its hash */
    byte trained;                                /* versions 1 to `trained` exist, of either model */
    byte a, b;                                   /* what stands in staging */
    byte production;
    byte released                                /* the jobs that released, one bit each */
}
typedef Checkpoint { bool there, sound; Facts holds }
typedef Put { byte number; Entry what }          /* number 0: none */

Entry entry[MOST + 1];                           /* the log; 0 is the empty beginning */
Checkpoint checkpoint[MOST + 1];                 /* each at the entry that it ends with */
byte foreign;                                    /* a checkpoint of another registry speaks of this entry; 0: none */
Put air[WRITERS];                                /* puts that are still on their way */
byte faults = FAULTS, harm = HARM, finished;
Facts nothing;                                   /* stays all zeros */
Facts truth[MOST + 1];                           /* only to compare with: the fold of the whole log up to n */
#ifdef WATCH
byte watched, watched_nonce;                     /* only to compare with: an entry that was called done */
#endif

#define stands(n) (entry[n].nonce != FREE)
#define gate_holds(s) (s.a == s.b && s.a != s.production)
#define same(s, t) (s.head == t.head && s.head_hash == t.head_hash && s.trained == t.trained && s.a == t.a && \
                    s.b == t.b && s.production == t.production && s.released == t.released)
#define bit(j) (1 << (j))
#define released_by(j, known) (known.released & bit(j))

#if defined(NO_RECHECK) || defined(NO_LOOK) || WITNESS == 3
#define REMEMBERS true
#else
#define REMEMBERS false
#endif
#ifdef NO_LOOK
#define LOOKS false
#else
#define LOOKS true
#endif
#ifdef OVERWRITE
#define may_write(n) true
#else
#define may_write(n) !stands(n)
#endif
#ifdef NO_JOB
#define done_already false
#else
#define done_already released_by(JOB_OF(NONCE), seen)
#endif

#ifdef UNCHECKED_CHECKPOINT
#define may_trust(k) (checkpoint[k].there)
#else
#define may_trust(k) (checkpoint[k].there && checkpoint[k].sound && \
                      checkpoint[k].holds.head_hash == entry[k].nonce)
#endif
#ifdef STALE_CHECKPOINT
#define may_trust_foreign (foreign != 0)
#else
#define may_trust_foreign (foreign != 0 && entry[foreign].nonce == FOREIGN)
#endif

inline copy(from, to) {
    to.head = from.head; to.head_hash = from.head_hash; to.trained = from.trained; to.a = from.a; to.b = from.b;
    to.production = from.production; to.released = from.released
}

/* What state.py does with the next entry. */
inline fold(mine) {
    mine.head++;
    mine.head_hash = entry[mine.head].nonce;
    if
    :: entry[mine.head].kind == train -> mine.trained++
    :: entry[mine.head].kind == promote_a -> mine.a = entry[mine.head].version
    :: entry[mine.head].kind == promote_b -> mine.b = entry[mine.head].version
    :: entry[mine.head].kind == release ->
        mine.production = entry[mine.head].version;
        mine.released = mine.released | bit(JOB_OF(mine.head_hash))
    fi
}

/* Before the first entry; to make the model small, two versions are there and the first stands in staging. */
inline begin(mine) {
    mine.head = 0; mine.head_hash = FREE; mine.trained = 2; mine.a = 1; mine.b = 1;
    mine.production = 0; mine.released = 0
}

inline read_on(mine) {
    do
    :: mine.head < MOST && stands(mine.head + 1) -> fold(mine)
    :: else -> break
    od;
    must(same(mine, truth[mine.head]))                                                      /* 2 */
}

/* The store does what a put asks for. Nothing else writes to the log. */
inline write(place, fact, which, by) {
    must(!stands(place) && (place == 1 || stands(place - 1)));                              /* 1 */
    for (i : 1 .. MOST) {
        must(entry[i].nonce != by)                                                          /* 4 */
    }
    if
    :: fact == release ->
        must(gate_holds(truth[place - 1]) && which == truth[place - 1].a);                  /* 3 */
        must(!released_by(JOB_OF(by), truth[place - 1]))                                    /* 3 */
    :: else
    fi;
    entry[place].kind = fact; entry[place].version = which; entry[place].nonce = by;
    copy(truth[place - 1], truth[place]);
    fold(truth[place]);
    i = 0
}

/* A put has arrived, or never will. */
inline lands(slot) {
    air[slot].number = 0; air[slot].what.kind = 0; air[slot].what.version = 0; air[slot].what.nonce = 0
}

inline forget(k) {
    checkpoint[k].there = false; checkpoint[k].sound = false;
    copy(nothing, checkpoint[k].holds)
}

/* A reader's start: at a checkpoint that it may trust, or at the beginning, as one may vanish before it is read. */
inline open(mine) {
    atomic {
        begin(mine);
        if
        :: skip
        :: select(i : 1 .. MOST);
            if
            :: may_trust(i) -> copy(checkpoint[i].holds, mine)
            :: else
            fi
        :: may_trust_foreign -> mine.head = foreign; mine.head_hash = entry[foreign].nonce; mine.production = 2
        fi;
        i = 0;
        must(same(mine, truth[mine.head]));                                                 /* 2 */
        never_happens(mine.head != 0, 1)
    }
}

proctype Writer(byte me) {
    Facts seen;
    byte job, attempt, version, own, i;
    mtype kind, answer;
    bool beaten;                                            /* to a number; kept only where a broken rule wants it */

start:
    open(seen);
again:
    if
    :: job < JOBS ->
        /* Log.append: read on, propose on the newest state */
        atomic {
            if
            :: kind == 0 -> kind = train
            :: kind == 0 -> kind = promote_a
            :: kind == 0 -> kind = promote_b
            :: kind == 0 -> kind = release
            :: kind != 0
            fi;
            if
            :: beaten && !LOOKS
            :: else -> read_on(seen)
            fi;
            if
#ifdef NO_RECHECK
            :: kind == release && beaten                    /* the version that was to be released stays as it was */
#endif
            :: kind == train -> version = seen.trained + 1
            :: kind == promote_a && seen.a != seen.trained -> version = seen.trained
            :: kind == promote_b && seen.b != seen.trained -> version = seen.trained
            :: kind == release && gate_holds(seen) && !done_already -> version = seen.a
            :: else -> goto idle                            /* refused, there already, or done by an earlier attempt */
            fi
        };

        /* Objects.put_new */
        atomic {
            if
            :: may_write(seen.head + 1) -> write(seen.head + 1, kind, version, NONCE); answer = won
            :: stands(seen.head + 1) -> answer = taken
            :: !stands(seen.head + 1) && faults > 0 ->      /* its answer is lost, the client asks again */
                faults--;
                write(seen.head + 1, kind, version, NONCE); answer = taken
            :: faults > 0 && air[me].number == 0 ->         /* no answer: it arrives at once, later or never */
                faults--; answer = lost;
                air[me].number = seen.head + 1;
                air[me].what.kind = kind; air[me].what.version = version; air[me].what.nonce = NONCE
            :: faults > 0 -> faults--; goto killed
            fi;
            version = (REMEMBERS -> version : 0)
        };

        /* Log._won: whose entry stands there? */
        atomic {
            if
            :: answer == won
#ifdef BLIND_RETRY
            :: answer == taken -> answer = 0; goto again
#endif
#ifdef TRUSTED_LOSS
            :: answer == lost
#endif
            :: answer != won && entry[seen.head + 1].nonce == NONCE -> never_happens(true, 2)
            :: answer == taken && entry[seen.head + 1].nonce != NONCE ->
                answer = 0; beaten = REMEMBERS; goto again
            :: answer == lost && entry[seen.head + 1].nonce != NONCE -> goto failed
            :: answer != won && faults > 0 -> faults--; goto failed
            :: faults > 0 -> faults--; goto killed
            fi;
            answer = 0;
            must(entry[seen.head + 1].nonce == NONCE);                                      /* 5 */
            never_happens(beaten && kind == release, 3);
            fold(seen);
            must(same(seen, truth[seen.head]));                                             /* 2 */
            own = seen.head
        };

        if
        :: own % EVERY == 0 ->
            /* Log._keep_checkpoint: of all that stands by now; it may fail, and the entry stands all the same */
            atomic {
                read_on(seen);
                if
                :: checkpoint[seen.head].there = true; checkpoint[seen.head].sound = true;
                   copy(seen, checkpoint[seen.head].holds)
                :: faults > 0 -> faults--
                :: faults > 0 -> faults--; goto killed
                fi
            };
            atomic {
                if
                :: for (i : 1 .. seen.head - 1) {
                       forget(i)
                   }
                   i = 0
                :: faults > 0 -> faults--; goto killed
                fi
            }
        :: else
        fi;
        atomic {
            must(entry[own].nonce == NONCE);                                                /* 5 */
#ifdef WATCH
            if
            :: watched == 0 -> watched = own; watched_nonce = NONCE
            :: skip
            fi;
#endif
            goto next
        };

idle:
        atomic {
            for (i : 1 .. MOST) {
                must(entry[i].nonce != NONCE)                                               /* 6 */
            }
            i = 0;
next:
            job++; attempt = 0; kind = 0; own = 0; beaten = false; goto again
        };

failed: /* the writer can't tell whether the entry will stand, and says so; the job is done again */
        atomic { attempt++; answer = 0; goto again };

killed: /* a new process, which knows the job and nothing more */
        atomic { attempt++; answer = 0; version = 0; own = 0; goto start }
    :: else
    fi;
    atomic { begin(seen); finished++ }
}

#ifdef READER
proctype Reader() {
    Facts seen;
    byte i;

    open(seen);
    do
    :: d_step {
        seen.head < MOST && stands(seen.head + 1) ->
        fold(seen);
        must(same(seen, truth[seen.head]))                                                  /* 2 */
       }
    :: break
    od
}
#endif

/* A put that nobody waits for any more. */
proctype Network(byte w) {
    byte i;

end:
    do
    :: d_step {
        air[w].number != 0 && !stands(air[w].number) ->
        write(air[w].number, air[w].what.kind, air[w].what.version, air[w].what.nonce);
        lands(w)
       }
    :: d_step {
        air[w].number != 0 ->                               /* it never arrives, or finds its number taken */
        never_happens(stands(air[w].number), 4);
        lands(w)
       }
    od
}

/* What may happen to files that may be deleted at any time. */
proctype Somebody() {
    byte k;

    do
    :: atomic {
        harm > 0 ->
        harm--;
        select(k : 1 .. MOST);
        if
        :: checkpoint[k].there -> forget(k)
        :: checkpoint[k].there -> checkpoint[k].sound = false; checkpoint[k].holds.production = 3
        :: foreign = k
        fi;
        k = 0
       }
    :: break
    od
}

init {
    byte w;

    atomic {
        begin(truth[0]);
        for (w : 0 .. WRITERS - 1) {
            run Writer(w);
            run Network(w)
        }
#ifdef READER
        run Reader();
#endif
        run Somebody()
    }
}

#ifdef WATCH
ltl told_once_stands { [] ((watched != 0) -> [] (entry[watched].nonce == watched_nonce)) }
#endif
ltl everybody_finishes { <> (finished == WRITERS) }

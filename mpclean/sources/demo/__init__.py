"""An embedded source: invented crystals that bring every case the cleaning rules exist for.

**Everything here is synthetic.** The crystals are real structure types (`PROTOTYPES`) that
are decorated with elements whether or not such a compound exists, and the labels are the
closed form below, not the result of any calculation or measurement. Every document says so
(``"synthetic": true``), every id begins with ``demo-``, and the identity of the source and
its citation line repeat it.

Crystals
--------
A crystal is a prototype with an element on each of its sites, scaled so that no two atoms of
different sites are nearer than the sum of their covalent radii. It then *breathes*: its
lengths change by up to 3 %. One in three three-dimensional crystals is also *distorted*: a
random strain of up to 2 % and displacements of up to 0.15 A along each axis, which leave no
symmetry. Every fourth of the others states its space group, as some sources do.

Cases
-----
Each document names its case in ``"case"`` (`COUNTS` is computed from the tables):

=========================  =====  ==========================================================
crystal                     2400  three-dimensional bonds, metals and insulators
layers, chains, molecules    225  bonds in two, one and no dimensions (150 + 27 + 48)
large                         40  garnets, 80 atoms in the primitive cell
large supercell               20  rattled rock salts of 54 atoms
disconnected                  48  an open net with a noble gas in its cages, or two nets
                                  that share no bond
duplicate                    120  a *crystal* again, its lengths changed by up to 1 %
duplicate without energy      10  the same, and no formation energy
other cell                    60  a *crystal* again: supercell, centred cell or other basis,
                                  with another origin
defects                      112  missing, absurd and unreadable, the rows of `DEFECTS`
=========================  =====  ==========================================================

Labels
------
With Pauling electronegativity X (0 where there is none), covalent radius r, distance d,
s_ij = d_ij - r_i - r_j, and a weight w(s) that falls smoothly from 1 at s = 0 to 0 at
s = 0.5 A, where a bond ends, sums run over all pairs through all images:

* ionicity   I = sum w (X_i - X_j)^2 / sum w, of an atom (I_i) or of the cell (I);
* strain     S = 0.5 var(r) / mean(r)^2 + 0.15 sum_ij w s_ij^2 / N,  in eV/atom;
* ``formation_energy_per_atom`` = S - 0.1 sum_ij w (X_i - X_j)^2 / N;
* ``energy_above_hull`` = S, which is never negative;
* ``band_gap`` = max(0, 1.4 (I - 1.2)), so what is not ionic is a metal;
* ``efermi`` = 1.5 mean(X) + 30 (N / V)^(2/3) - 3, with the volume V in A^3;
* magnetic moment of an atom = u_i I_i / (1 + I_i) in muB, where u = min(n, 10 - n) or
  min(n, 14 - n) unpaired electrons for d^n of a dipositive 3d or f^n of a tripositive 4f
  ion; ``total_magnetization`` is their sum over the cell;
* ``is_hubbard`` as in the Materials Project: Co, Cr, Fe, Mn, Mo, Ni, V or W with O or F.

The constants only put the values into the range of real ones. This is **not physics**, but
it is smooth and local, so a graph network can learn it from elements and bonds.

To extend
---------
A new structure type is one `Prototype` in `mpclean.sources.demo.prototypes.PROTOTYPES`, a new
kind of bad record one `Defect` in `mpclean.sources.demo.defects.DEFECTS`.
"""

from mpclean.sources.demo.source import documents, open_demo

__all__ = ["documents", "open_demo"]

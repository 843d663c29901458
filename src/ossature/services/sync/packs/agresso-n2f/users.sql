SELECT
    AdresseEmail AS "AdresseEmail",
    Prenom AS "Prenom",
    Nom AS "Nom",
    Matricule AS "Matricule",
    Entreprise AS "Entreprise",
    Role AS "Role",
    Profil AS "Profil",
    Manager AS "Manager",
    Fonction AS "Fonction",
    Structure AS "Structure",
    langue AS "langue",
    Devise AS "Devise",
    Compte_Auxiliaire_Agresso AS "Compte_Auxiliaire_Agresso",
    Methode_SSO AS "Methode_SSO",
    Creation_Vehicule AS "Creation_Vehicule",
    Appro_Veh_Adm AS "Appro_Veh_Adm",
    Deduction_Distance_TravDom AS "Deduction_Distance_TravDom",
    Moyen_Paiement_Prof AS "Moyen_Paiement_Prof",
    Droit_Relever_Plafond AS "Droit_Relever_Plafond"
FROM ${users_view}
ORDER BY AdresseEmail
